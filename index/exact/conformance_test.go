package exact_test

import (
	"testing"

	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/exact"
	"github.com/vecino-db/vecino/index/indextest"
)

func engine() indextest.Engine {
	return indextest.Engine{
		Name:   "exact",
		New:    func(cfg index.Config) (index.Index, error) { return exact.New(cfg) },
		Load:   func(cfg index.Config, source index.Source) (index.Index, error) { return exact.Load(cfg, source) },
		Recall: 1,
	}
}

func TestConformance(t *testing.T) { indextest.Run(t, engine()) }
