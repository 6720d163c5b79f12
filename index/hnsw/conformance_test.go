package hnsw

import (
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/indextest"
)

func engine(encoding compat.Encoding, recall, slack float64) indextest.Engine {
	return indextest.Engine{
		Name:     "hnsw " + string(encoding),
		New:      func(cfg index.Config) (index.Index, error) { return New(cfg) },
		Load:     func(cfg index.Config, source index.Source) (index.Index, error) { return Load(cfg, source) },
		Recall:   recall,
		Encoding: encoding,
		Slack:    slack,
	}
}

func TestConformance(t *testing.T) {
	for _, e := range []indextest.Engine{
		engine(compat.EncodingF32, 0.95, 1),
		engine(compat.EncodingInt8, 0.95, 60),
		engine(compat.EncodingLVQ4x8, 0.95, 400),
	} {
		t.Run(string(e.Encoding), func(t *testing.T) {
			if raceEnabled && e.Encoding != compat.EncodingF32 {
				indextest.RunConcurrent(t, e)
				return
			}
			indextest.Run(t, e)
		})
	}
}
