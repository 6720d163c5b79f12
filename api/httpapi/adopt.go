package httpapi

import (
	"context"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/api/strictjson"
)

// adoptManifest compares raw vectors with what a model makes of the texts, and
// gives the collection that model's space where they are the same.
func (s *Server) adoptManifest(ctx context.Context, c *call) (answer, error) {
	wish, err := decodeAdopt(c.body)
	if err != nil {
		return answer{}, err
	}
	result, err := s.service.Adopt(ctx, c.collection, wish)
	if err != nil {
		return answer{}, err
	}
	return answer{result: result}, nil
}

// decodeAdopt reads the body of an adoption.
func decodeAdopt(data []byte) (api.AdoptWish, error) {
	var w api.AdoptWish
	err := strictjson.Decode(data, func(r *strictjson.Reader) error {
		err := fields(r, map[string]func() error{
			"embedding": func() error { return embeddingWish(r, &w.Embedding) },
			"sample":    optional(r, integer(r, &w.Sample, api.MinAdoptSample, api.MaxAdoptSample)),
			"dry_run":   optional(r, into(&w.DryRun, r.Bool)),
		})
		if err == nil && w.Embedding.Model == "" {
			err = r.Fail("an adoption needs an embedding: the model that is said to have made the vectors")
		}
		return err
	})
	return w, err
}
