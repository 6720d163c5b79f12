package store

import (
	"context"
	"errors"
	"io"

	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/tail"
)

// Writes run ahead of graphs that take their time over an insert: a vector is
// found from the moment at which it stands in the tail before the graph, and a
// checkpoint waits until what it has to have is linked. So "the graph has it"
// means graph or tail everywhere in this package.

// withTail puts a tail before an engine.
func withTail[E tail.Engine](cfg index.Config, engine E, err error) (index.Index, error) {
	if err != nil {
		return nil, err
	}
	return wrapIndex(tail.New(cfg, engine, tail.Options{}))
}

// settle waits until an index has linked what it has.
func settle(ctx context.Context, x index.Index) error {
	if s, ok := index.As[index.Settler](x); ok {
		return s.Settle(ctx)
	}
	return nil
}

// Settle waits until all that was put before is linked into the graph. It is
// found by searches, and durable, without that; they are faster with it. The
// context's end stops the waiting alone. Errors: ErrNotFound, ErrClosed, and
// the reason why the graph takes no more.
func (c *Collection) Settle(ctx context.Context) error {
	if err := c.begin(); err != nil {
		return err
	}
	defer c.end()
	for _, g := range c.generations.Load().each() {
		// One that was retired meanwhile ends its graph, and need not have anything.
		if err := settle(ctx, g.graph); err != nil && (ctx.Err() != nil || c.generations.Load().of(g.number) == g) {
			return err
		}
	}
	return nil
}

// endGraphs ends the background work of every generation.
func (c *Collection) endGraphs() (err error) {
	for _, g := range c.generations.Load().each() {
		err = errors.Join(err, g.end())
	}
	return err
}

// end ends the background work of the generation's graph. Nobody uses it any
// more.
func (g *generation) end() error {
	if g == nil || g.graph == nil {
		return nil
	}
	return endIndex(g.graph)
}

func endIndex(x index.Index) error {
	if c, ok := index.As[io.Closer](x); ok {
		return c.Close()
	}
	return nil
}
