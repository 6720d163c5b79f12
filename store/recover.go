package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/sync/errgroup"

	"github.com/vecino-db/vecino/index"
)

// recover reads the catalog and the high-water file, which a store that was
// just created has not, and brings every collection up.
func (s *Store) recover(ctx context.Context, created bool) error {
	high, err := s.readMarks(created)
	if err != nil {
		return err
	}
	record, err := get(s.db, keyCatalog)
	if err != nil {
		return readError("", "catalog", err)
	}
	s.catalog = catalogRecord{Next: 1}
	if record != nil {
		if err := decodeJSON(record, &s.catalog); err != nil {
			return readError("", "catalog", err)
		}
	}
	if s.catalog.Changes < high.Catalog {
		return &CorruptionError{Object: "catalog", Detail: fmt.Sprintf("%d changes are left of %d that were on the disk", s.catalog.Changes, high.Catalog)}
	}
	err = scan(s.db, []byte{familyCatalog}, nil, func(key, value []byte) error {
		name := string(key[1:])
		var r collectionRecord
		if err := decodeJSON(value, &r); err != nil {
			return err
		}
		if checkName(name) != nil || r.Number == 0 || r.Number >= s.catalog.Next {
			return fmt.Errorf("%w: collection %.80q has number %d of %d", errRecord, name, r.Number, s.catalog.Next)
		}
		s.collections[name] = newCollection(s, name, r, nil)
		s.collections[name].durable.Store(high.Collections[r.Number])
		s.collections[name].readGenerations(r)
		return nil
	})
	if err != nil {
		return readError("", "catalog", err)
	}
	if err := s.readAliases(); err != nil {
		return readError("", "aliases", err)
	}
	if err := s.checkMarks(high); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, c := range s.sorted() {
		group.Go(func() error { return c.recover(ctx) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if s.options.readOnly {
		return nil
	}
	if err := s.sweep(); err != nil {
		return err
	}
	return s.writeMarks()
}

// readMarks reads the high-water file; without one there are no marks.
func (s *Store) readMarks(created bool) (marks, error) {
	high, err := readMarks(s.fs, s.options.Dir)
	if notExist(err) && created {
		return marks{}, nil
	}
	if notExist(err) {
		s.log.Warn("store: no high-water file: lost writes would not be noticed at this start", "directory", s.options.Dir)
		return marks{}, nil
	}
	return high, err
}

// checkMarks refuses a store in which a collection is neither there nor
// dropped.
func (s *Store) checkMarks(high marks) error {
	numbers := map[collectionNumber]struct{}{}
	for _, c := range s.collections {
		if _, twice := numbers[c.number]; twice {
			return &CorruptionError{Object: "catalog", Detail: fmt.Sprintf("two collections have number %d", c.number)}
		}
		numbers[c.number] = struct{}{}
	}
	for number := range high.Collections {
		if _, ok := numbers[number]; ok {
			continue
		}
		dropped, err := get(s.db, prefixKey(familyDropped, number))
		if err != nil {
			return readError("", "dropped collections", err)
		}
		if dropped == nil {
			return &CorruptionError{Object: "catalog", Detail: fmt.Sprintf("collection number %d was on the disk and is gone", number)}
		}
	}
	return nil
}

// readGenerations reads the manifests that the catalog names. Damage is kept
// in c.damage.
func (c *Collection) readGenerations(r collectionRecord) {
	serving, err := c.readGeneration(r.Generation)
	var standby *generation
	if err == nil && r.Standby != 0 {
		standby, err = c.readGeneration(r.Standby)
	}
	var all *generations
	if err == nil {
		all, err = newGenerations(serving, standby, r.Served)
	}
	if err != nil {
		c.broken(err)
		return
	}
	c.generations.Store(all)
}

// readGeneration reads one manifest.
func (c *Collection) readGeneration(number uint64) (*generation, error) {
	record, err := get(c.store.db, generationKey(c.number, number))
	var r generationRecord
	if err == nil {
		r, err = decodeGeneration(record)
	}
	var g *generation
	if err == nil {
		g, err = newGeneration(number, r.createdAt, r.manifest)
	}
	if err != nil {
		return nil, &CorruptionError{Collection: c.name, Object: fmt.Sprintf("manifest of generation %d", number), Detail: err.Error()}
	}
	return g, nil
}

// broken keeps a collection from opening.
func (c *Collection) broken(damage error) {
	c.damage = damage
	c.store.log.Error("store: a collection is damaged and does not open", "collection", c.name, "error", damage)
}

// recover verifies the collection and loads its graph. Damage is kept in
// c.damage; the error is the context's.
func (c *Collection) recover(ctx context.Context) error {
	if c.damage != nil {
		return nil
	}
	mark := c.durable.Load()
	err := c.verify(ctx, mark)
	if err == nil {
		err = c.readPayloadIndexes()
	}
	for _, g := range c.generations.Load().each() {
		if err == nil {
			err = c.loadGraph(ctx, g)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		if !errors.Is(err, ErrCorrupt) {
			err = &CorruptionError{Collection: c.name, Object: "its data", Detail: err.Error()}
		}
		c.broken(err)
		return nil
	}
	c.durable.Store(c.state.sequence)
	c.applied.reset(c.state.sequence)
	if err := c.freeRetired(); err != nil {
		c.store.log.Warn("store: the keys of a retired generation stay until the next start", "collection", c.name, "error", err)
	}
	return nil
}

// damaged is shorthand for an error of verify.
func (c *Collection) damaged(object, format string, args ...any) error {
	return &CorruptionError{Collection: c.name, Object: object, Detail: fmt.Sprintf(format, args...)}
}

// verify compares the collection with its own counts and digests, with the
// high-water mark, and its families with each other. It fills in which
// ordinals each generation has.
func (c *Collection) verify(ctx context.Context, mark uint64) error {
	record, err := get(c.store.db, stateKey(c.number))
	if err != nil {
		return readError(c.name, "state", err)
	}
	if c.state, err = decodeState(record); err != nil {
		return readError(c.name, "state", err)
	}
	if c.state.sequence < mark {
		return c.damaged("sequence", "%d batches are left of %d that were on the disk", c.state.sequence, mark)
	}
	all := c.generations.Load()
	standby := uint64(0)
	if all.standby != nil {
		standby = all.standby.number
	}
	if c.state.standby.generation != standby {
		return c.damaged("generations", "the state names generation %d as the second one and the catalog %d", c.state.standby.generation, standby)
	}
	live, table, err := c.verifyDocuments(ctx)
	if err != nil {
		return err
	}
	for _, g := range all.each() {
		if err := c.verifyVectors(ctx, g, live); err != nil {
			return err
		}
	}
	if all.serving.filled.GetCardinality() != live.GetCardinality() {
		return c.damaged("vectors", "%d are there and %d were stored", all.serving.filled.GetCardinality(), live.GetCardinality())
	}
	return c.verifyOrdinals(ctx, all.standby, live, table)
}

// verifyDocuments sums up the documents. It gives the ordinals that they name
// and the digest that the ordinal table must have.
func (c *Collection) verifyDocuments(ctx context.Context) (live *roaring.Bitmap, table digest, err error) {
	live = roaring.New()
	var sum digest
	count := uint64(0)
	prefix := prefixKey(familyDocument, c.number)
	err = scan(c.store.db, prefix, nil, func(key, value []byte) error {
		if count++; count%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		id, err := decodeID(key[len(prefix):])
		if err != nil {
			return err
		}
		h, err := decodeHead(value)
		if err != nil {
			return err
		}
		if h.version == 0 || h.version > c.state.sequence || uint64(h.ordinal) >= c.state.next || !live.CheckedAdd(h.ordinal) {
			return fmt.Errorf("%w: document %s has version %d of %d and ordinal %d of %d", errRecord, id, h.version, c.state.sequence, h.ordinal, c.state.next)
		}
		sum = sum.plus(documentElement(id, h))
		table = table.plus(ordinalElement(h.ordinal, key[len(prefix):]))
		return nil
	})
	if err != nil {
		return nil, digest{}, readError(c.name, "documents", err)
	}
	if count != c.state.live {
		return nil, digest{}, c.damaged("documents", "%d are there and %d were stored", count, c.state.live)
	}
	if sum != c.state.digest {
		return nil, digest{}, c.damaged("documents", "their digest differs from the stored one: some are of another version")
	}
	return live, table, nil
}

// verifyOrdinals compares the ordinal table with the documents, and the
// ordinals that the standby has, unless it is nil, with the state.
func (c *Collection) verifyOrdinals(ctx context.Context, standby *generation, live *roaring.Bitmap, want digest) error {
	var table, filled digest
	count := uint64(0)
	err := scan(c.store.db, prefixKey(familyOrdinal, c.number), nil, func(key, value []byte) error {
		if count++; count%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		ordinal, ok := lastUint32(key, ordinalKeyLength)
		if !ok {
			return fmt.Errorf("%w: ordinal key of %d bytes", errRecord, len(key))
		}
		element := ordinalElement(ordinal, value)
		table = table.plus(element)
		if standby != nil && standby.filled.Contains(ordinal) {
			filled = filled.plus(element)
		}
		return nil
	})
	if err != nil {
		return readError(c.name, "ordinals", err)
	}
	if count != live.GetCardinality() || table != want {
		return c.damaged("ordinals", "the table of %d differs from the %d documents", count, live.GetCardinality())
	}
	if s := c.state.standby; standby != nil && (standby.filled.GetCardinality() != s.filled || filled != s.digest) {
		return c.damaged("vectors", "generation %d has %d, or others than the %d that were stored", standby.number, standby.filled.GetCardinality(), s.filled)
	}
	return nil
}

// verifyVectors finds the ordinals that a generation has.
func (c *Collection) verifyVectors(ctx context.Context, g *generation, live *roaring.Bitmap) error {
	count := uint64(0)
	err := scan(c.store.db, vectorPrefix(c.number, g.number), nil, func(key, value []byte) error {
		if count++; count%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		ordinal, ok := lastUint32(key, vectorKeyLength)
		if !ok || !live.Contains(ordinal) || len(value) != 4*g.config.Dimension {
			return fmt.Errorf("%w: vector %d of %d bytes, which no document names or which is no vector of generation %d", errRecord, ordinal, len(value), g.number)
		}
		g.filled.Add(ordinal)
		return nil
	})
	if err != nil {
		return readError(c.name, "vectors", err)
	}
	return nil
}

// loadGraph loads the last checkpoint and brings in what was written after it.
// A checkpoint that can't be read is dropped and the graph built anew.
func (c *Collection) loadGraph(ctx context.Context, g *generation) error {
	began := time.Now()
	record, err := get(c.store.db, checkpointKey(c.number, g.number))
	var header checkpointHeader
	if err == nil && record != nil {
		header, err = decodeCheckpoint(record)
	}
	if err != nil {
		return readError(c.name, "checkpoint header", err)
	}
	if header.sequence > c.state.sequence {
		return c.damaged("sequence", "the checkpoint has batch %d and the collection ends at %d", header.sequence, c.state.sequence)
	}
	tail, err := c.readTail(header.sequence)
	if err != nil {
		return err
	}
	g.header = header
	c.changed.Add(int64(len(tail)))
	if len(header.written) > 0 {
		err = c.loadCheckpoint(ctx, g, tail)
		if err == nil || ctx.Err() != nil {
			c.store.log.Debug("store: graph loaded", "collection", c.name, "reinserted", c.reinserted, "duration", time.Since(began))
			return err
		}
		c.store.log.Warn("store: the checkpoint of a graph can't be used; it is built anew from the stored vectors", "collection", c.name, "error", err)
		c.dropped = true
	}
	g.header = checkpointHeader{number: header.number} // whatever its sequence, the next one is due
	g.saved = nil
	c.changed.Store(int64(c.state.live))
	c.rebuilt = c.state.live > 0
	if err := g.end(); err != nil {
		return err
	}
	if g.graph, err = newIndex(g.config); err != nil {
		return err
	}
	if err := c.reinsert(ctx, g, g.filled); err != nil {
		return err
	}
	c.store.log.Debug("store: graph built", "collection", c.name, "vectors", c.reinserted, "duration", time.Since(began))
	return nil
}

// readTail reads the log behind a sequence, and finds holes in it.
func (c *Collection) readTail(after uint64) ([]logOp, error) {
	var tail []logOp
	next := after + 1
	err := scan(c.store.db, prefixKey(familyLog, c.number), logKey(c.number, next), func(key, value []byte) error {
		if want := logKey(c.number, next); string(key) != string(want) {
			return fmt.Errorf("%w: batch %d is missing", errRecord, next)
		}
		ops, err := decodeLog(value)
		if err != nil {
			return err
		}
		tail = append(tail, ops...)
		next++
		return nil
	})
	if err != nil {
		return nil, readError(c.name, "log", err)
	}
	if next != c.state.sequence+1 {
		return nil, c.damaged("log", "it ends at batch %d and the collection at %d", next-1, c.state.sequence)
	}
	return tail, nil
}

// loadCheckpoint makes the graph of a checkpoint and the log behind it.
func (c *Collection) loadCheckpoint(ctx context.Context, g *generation, tail []logOp) error {
	graph, err := loadIndex(g.config, chunkSource{ctx: ctx, reader: c.store.db, collection: c.number, generation: g.number, header: g.header})
	if err != nil {
		return err
	}
	g.graph = graph
	if engine, ok := index.As[index.Incremental](graph); ok {
		g.saved = engine.Loaded()
	}
	fresh := roaring.New()
	var removed []uint32
	for _, op := range tail {
		switch {
		case op.only != 0 && op.only != g.number:
		case op.remove:
			removed = append(removed, op.ordinal)
			fresh.Remove(op.ordinal)
		default:
			fresh.Add(op.ordinal)
		}
	}
	graph.Delete(removed)
	fresh.And(g.filled) // damage of the log must not bring back what no document names
	if err := c.reinsert(ctx, g, fresh); err != nil {
		return err
	}
	if found := graph.Stats().Live; uint64(found) != g.filled.GetCardinality() {
		c.reinserted = 0
		return fmt.Errorf("%w: it finds %d vectors of %d", index.ErrCorrupt, found, g.filled.GetCardinality())
	}
	return nil
}

// reinsertBatch is the number of vectors that one worker inserts at a time.
const reinsertBatch = 256

// reinsert inserts the stored vectors of some ordinals into the graph, on all
// cores.
func (c *Collection) reinsert(ctx context.Context, g *generation, ordinals *roaring.Bitmap) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	iter := ordinals.ManyIterator()
	for ctx.Err() == nil {
		batch := make([]uint32, reinsertBatch)
		batch = batch[:iter.NextMany(batch)]
		if len(batch) == 0 {
			break
		}
		c.reinserted += len(batch)
		group.Go(func() error { return c.reinsertSome(ctx, g, batch) })
	}
	return group.Wait()
}

func (c *Collection) reinsertSome(ctx context.Context, g *generation, ordinals []uint32) error {
	dim := g.config.Dimension
	rows := make([]float32, 0, len(ordinals)*dim)
	for _, ordinal := range ordinals {
		var err error
		if rows, err = c.appendRow(g, c.store.db, rows, ordinal); err != nil {
			return err
		}
	}
	v, err := g.stamper.Stamp(rows)
	if err != nil {
		return c.damaged("vectors", "%v", err)
	}
	return g.graph.Insert(ctx, ordinals, v)
}

// appendRow appends the vector of an ordinal in a generation to rows.
func (c *Collection) appendRow(g *generation, reader pebble.Reader, rows []float32, ordinal uint32) ([]float32, error) {
	value, closer, err := reader.Get(vectorKey(c.number, g.number, ordinal))
	if err != nil {
		return nil, readError(c.name, fmt.Sprintf("vector %d", ordinal), err)
	}
	rows, err = appendVector(rows, value, g.config.Dimension)
	if err = errors.Join(err, closer.Close()); err != nil {
		return nil, readError(c.name, fmt.Sprintf("vector %d", ordinal), err)
	}
	return rows, nil
}
