package auto_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/auto"
	"github.com/vecino-db/vecino/index/indextest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func engine(name string, threshold int, encoding compat.Encoding, slack float64) indextest.Engine {
	o := auto.Options{Threshold: threshold}
	return indextest.Engine{
		Name:     name,
		New:      func(cfg index.Config) (index.Index, error) { return auto.New(cfg, o) },
		Load:     func(cfg index.Config, source index.Source) (index.Index, error) { return auto.Load(cfg, source, o) },
		Recall:   0.95,
		Encoding: encoding,
		Slack:    slack,
	}
}

func TestConformance(t *testing.T) {
	change := engine("across the threshold", 200, compat.EncodingF32, 1)
	t.Run(change.Name, func(t *testing.T) {
		if raceEnabled {
			indextest.RunConcurrent(t, change)
			return
		}
		indextest.Run(t, change)
	})
	for _, e := range []indextest.Engine{
		engine("below the threshold", 0, compat.EncodingF32, 1),
		engine("across the threshold into codes", 1, compat.EncodingLVQ4x8, 400),
	} {
		t.Run(e.Name, func(t *testing.T) { indextest.RunConcurrent(t, e) })
	}
}
