package store

import (
	"context"
	"fmt"

	"github.com/vecino-db/vecino/index"
)

// Optimize waits until the graph has what was put, lets it go of deleted
// vectors, and improves it where its engine can. Searches and writes go on
// beside it. A checkpoint keeps what was won. Progress may be nil. When it ends
// early the collection is at least as good as it was. Errors: those of Get.
func (c *Collection) Optimize(ctx context.Context, progress func(done, total int)) error {
	if err := c.begin(); err != nil {
		return err
	}
	defer c.end()
	ctx, stop := c.whileThere(ctx)
	defer stop()
	if progress == nil {
		progress = func(int, int) {}
	}
	g, err := c.generation(0)
	if err != nil {
		return err
	}
	defer g.leave()
	if err := settle(ctx, g.graph); err != nil {
		return fmt.Errorf("collection %q: optimize: %w", c.name, err)
	}
	// Whatever comes of it, the last checkpoint is of another graph.
	g.improved.Store(true)
	if s := g.graph.Stats(); s.Deleted > 0 || s.Drifted {
		if err := c.compact(ctx, g); err != nil {
			return err
		}
	}
	if x, ok := index.As[index.Optimizer](g.graph); ok {
		if err := x.Optimize(ctx, progress); err != nil {
			return fmt.Errorf("collection %q: optimize: %w", c.name, err)
		}
	}
	return c.checkpoint(ctx)
}
