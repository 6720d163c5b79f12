package httpapi

import (
	"context"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/api/strictjson"
	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/store"
)

// listJobs lists the jobs, newest first.
func (s *Server) listJobs(context.Context, *call) (answer, error) {
	return answer{result: map[string]any{"jobs": s.service.Jobs()}}, nil
}

// getJob gives one.
func (s *Server) getJob(_ context.Context, c *call) (answer, error) {
	job, err := s.service.Job(c.path["job"])
	return answer{result: job}, err
}

// deleteJob ends a running job, or forgets one that has ended.
func (s *Server) deleteJob(ctx context.Context, c *call) (answer, error) {
	_, err := s.service.EndJob(ctx, c.path["job"])
	return answer{result: true}, err
}

// optimize begins the job.
func (s *Server) optimize(_ context.Context, c *call) (answer, error) {
	job, err := s.service.Optimize(c.collection)
	return answer{result: job}, err
}

// recall measures, or begins the job that does.
func (s *Server) recall(ctx context.Context, c *call) (answer, error) {
	wish, err := decodeRecall(c.body)
	if err != nil {
		return answer{}, err
	}
	for i, q := range wish.Queries {
		if q.Vector != nil {
			if wish.Queries[i].Space, err = vouched(c, q.Pointer); err != nil {
				return answer{}, err
			}
		}
	}
	if c.request.URL.Query().Get("wait") == "false" {
		job, err := s.service.StartRecall(c.collection, wish)
		return answer{result: map[string]any{"job": job}}, err
	}
	result, err := s.service.Recall(ctx, c.collection, wish)
	return answer{result: result}, err
}

// decodeRecall reads what is to be measured.
func decodeRecall(data []byte) (api.RecallWish, error) {
	var w api.RecallWish
	err := strictjson.Decode(data, func(r *strictjson.Reader) error {
		return fields(r, map[string]func() error{
			"k":      optional(r, integer(r, &w.K, 1, store.MaxRecallK)),
			"sample": optional(r, integer(r, &w.Sample, 1, store.MaxRecallQueries)),
			"ef":     optional(r, integer(r, &w.Ef, 1, compat.MaxEf)),
			"seed":   optional(r, into(&w.Seed, r.Uint64)),
			"keep":   optional(r, into(&w.Keep, r.Bool)),
			"queries": optional(r, func() error {
				return r.Array(func(i int) error {
					if i >= maxQueries {
						return r.Fail("more than %d queries", maxQueries)
					}
					var q query
					err := q.what(r, false)
					w.Queries = append(w.Queries, q.Query)
					return err
				})
			}),
		})
	})
	return w, err
}
