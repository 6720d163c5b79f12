package httpapi

import (
	"bytes"
	"context"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/api/strictjson"
	"github.com/vecino-db/vecino/embed/train/passages"
)

// trainModel begins the job.
func (s *Server) trainModel(ctx context.Context, c *call) (answer, error) {
	w, err := decodeTraining(c.body)
	if err != nil {
		return answer{}, err
	}
	job, err := s.service.Train(ctx, c.collection, w)
	return answer{result: job}, err
}

// maxTrainingPairs bounds the pairs of a request. openapi.yaml says the same.
const maxTrainingPairs = 100_000

// decodeTraining reads what is to be trained; an empty body is nothing.
func decodeTraining(data []byte) (api.TrainingWish, error) {
	var w api.TrainingWish
	if len(bytes.TrimSpace(data)) == 0 {
		return w, nil
	}
	err := strictjson.Decode(data, func(r *strictjson.Reader) error {
		return fields(r, map[string]func() error{
			"base":       optional(r, into(&w.Base, r.Str)),
			"name":       optional(r, into(&w.Name, r.Str)),
			"title":      optional(r, into(&w.Title, r.Str)),
			"seed":       optional(r, into(&w.Seed, r.Uint64)),
			"migrate":    optional(r, into(&w.Migrate, r.Bool)),
			"judgements": judgements(r, &w.Judged),
			"pairs": optional(r, func() error {
				return r.Array(func(i int) error {
					if i >= maxTrainingPairs {
						return r.Fail("more than %d pairs in one request", maxTrainingPairs)
					}
					p, err := trainingPair(r)
					w.Pairs = append(w.Pairs, p)
					return err
				})
			}),
		})
	})
	return w, err
}

// trainingPair reads one pair.
func trainingPair(r *strictjson.Reader) (p passages.Pair, err error) {
	err = fields(r, map[string]func() error{"query": into(&p.Query, r.Str), "document": into(&p.Document, r.Str)})
	if err == nil && (p.Query == "" || p.Document == "") {
		err = r.Fail(`want {"query": "a question", "document": "the text that answers it"}`)
	}
	return p, err
}
