package coder_test

import (
	"testing"

	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/coder"
	"github.com/vecino-db/vecino/index/indextest"
)

// recallFloor is what github.com/coder/hnsw v0.6.1 can do behind the adapter on
// the data of the suite. A fixed release shows by far exceeding it.
const recallFloor = 0.2

func TestConformance(t *testing.T) {
	indextest.Run(t, indextest.Engine{
		Name:   "coder",
		New:    func(cfg index.Config) (index.Index, error) { return coder.New(cfg) },
		Load:   func(cfg index.Config, source index.Source) (index.Index, error) { return coder.Load(cfg, source) },
		Recall: recallFloor,
		Slow:   true,
	})
}
