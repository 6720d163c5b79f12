package hnsw_test

import (
	"testing"

	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/hnsw"
	"github.com/vecino-db/vecino/index/indextest"
)

func engine() indextest.Engine {
	return indextest.Engine{
		Name:   "hnsw",
		New:    func(cfg index.Config) (index.Index, error) { return hnsw.New(cfg) },
		Load:   func(cfg index.Config, source index.Source) (index.Index, error) { return hnsw.Load(cfg, source) },
		Recall: 0.95,
	}
}

func TestConformance(t *testing.T) { indextest.Run(t, engine()) }
