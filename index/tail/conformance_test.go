package tail_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/coder"
	"github.com/vecino-db/vecino/index/exact"
	"github.com/vecino-db/vecino/index/hnsw"
	"github.com/vecino-db/vecino/index/indextest"
	"github.com/vecino-db/vecino/index/tail"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// before puts a tail before an engine. A short tail makes writers wait.
func before[E tail.Engine](name string, recall float64, options tail.Options, create func(index.Config) (E, error), load func(index.Config, index.Source) (E, error)) indextest.Engine {
	wrap := func(cfg index.Config, engine E, err error) (index.Index, error) {
		if err != nil {
			return nil, err
		}
		return tail.New(cfg, engine, options)
	}
	return indextest.Engine{
		Name: name,
		New: func(cfg index.Config) (index.Index, error) {
			engine, err := create(cfg)
			return wrap(cfg, engine, err)
		},
		Load: func(cfg index.Config, source index.Source) (index.Index, error) {
			engine, err := load(cfg, source)
			return wrap(cfg, engine, err)
		},
		Recall: recall,
		Slack:  1,
	}
}

func TestConformance(t *testing.T) {
	coded := before("hnsw lvq4x8 behind a tail", 0.95, tail.Options{}, hnsw.New, hnsw.Load)
	coded.Encoding, coded.Slack = compat.EncodingLVQ4x8, 400
	slow := before("coder behind a tail", 0, tail.Options{}, coder.New, coder.Load)
	slow.Slow = true
	whole := before("hnsw behind a tail", 0.95, tail.Options{}, hnsw.New, hnsw.Load)
	t.Run(whole.Name, func(t *testing.T) {
		if raceEnabled {
			indextest.RunConcurrent(t, whole)
			return
		}
		indextest.Run(t, whole)
	})
	for _, e := range []indextest.Engine{
		before("hnsw behind a short tail", 0.95, tail.Options{Bytes: 1, Workers: 4}, hnsw.New, hnsw.Load),
		before("exact behind a tail", 1, tail.Options{}, exact.New, exact.Load),
		coded, slow,
	} {
		t.Run(e.Name, func(t *testing.T) { indextest.RunConcurrent(t, e) })
	}
}
