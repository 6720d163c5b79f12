package api

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/remote"
)

// guarded is a remote model before one generation of a collection. It gives
// vectors only of the model that made the generation's probes: those of an
// answer count when the model behind the name was compared with the probes
// before, and the witness of the answers has shown no other since. So a model
// that is swapped behind its name is noticed before one of its vectors is
// stored, searched with, or kept in the cache.
//
// The witness is one text: a model that differs from the former one, but not in
// that, is noticed by the comparison that comes regularly.
type guarded struct {
	embed.Encoder
	endpoint *remote.Encoder
	probes   []compat.Probe

	mu     sync.Mutex // held over a comparison
	proved bool
	epoch  uint64 // of the endpoint, when it was compared
}

// changesInARow bounds how often a model may change while it is compared.
const changesInARow = 3

// prove gives the endpoint's epoch, in which its model is that of the probes.
// The error wraps compat.ErrProbe where it is another.
func (g *guarded) prove(ctx context.Context) (uint64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for range changesInARow {
		epoch := g.endpoint.Epoch()
		if g.proved && epoch == g.epoch {
			return epoch, nil
		}
		if err := g.endpoint.Drift(ctx, g.probes); err != nil && !errors.Is(err, compat.ErrNoProbes) {
			return 0, err
		}
		g.proved, g.epoch = g.endpoint.Epoch() == epoch, epoch
	}
	if g.proved {
		return g.epoch, nil
	}
	return 0, errSwapped
}

// errSwapped refuses vectors that may be of two models.
var errSwapped = fmt.Errorf("%w: the model behind the endpoint changed between two answers: look at the endpoint, or ask again", compat.ErrProbe)

// Encode implements embed.Encoder.
func (g *guarded) Encode(ctx context.Context, role embed.Role, texts []string) (embed.Encoded, error) {
	epoch, err := g.prove(ctx)
	if err != nil {
		return embed.Encoded{}, err
	}
	out, err := g.Encoder.Encode(ctx, role, texts)
	if err != nil || g.endpoint.Epoch() == epoch {
		return out, err
	}
	// What came is dropped. It is said what the endpoint has now.
	if _, err := g.prove(ctx); err != nil {
		return embed.Encoded{}, err
	}
	return embed.Encoded{}, errSwapped
}
