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
		return s.collections[name].readGeneration(r.Generation)
	})
	if err != nil {
		return readError("", "catalog", err)
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

// readGeneration reads the manifest that serves. Damage is kept in c.damage.
func (c *Collection) readGeneration(number uint64) error {
	record, err := get(c.store.db, generationKey(c.number, number))
	var g generationRecord
	if err == nil {
		g, err = decodeGeneration(record)
	}
	if err == nil {
		c.createdAt = g.createdAt
		var serving *generation
		serving, err = newGeneration(number, g.manifest)
		c.generations.Store(&generations{serving: serving})
	}
	if err != nil {
		c.broken(&CorruptionError{Collection: c.name, Object: fmt.Sprintf("manifest of generation %d", number), Detail: err.Error()})
	}
	return nil
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
	live, err := c.verify(ctx, mark)
	if err == nil {
		err = c.loadGraph(ctx, live)
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
	return nil
}

// damaged is shorthand for an error of verify.
func (c *Collection) damaged(object, format string, args ...any) error {
	return &CorruptionError{Collection: c.name, Object: object, Detail: fmt.Sprintf(format, args...)}
}

// verify compares the collection with its own count and digest, with the
// high-water mark, and its families with each other. It gives the ordinals of
// the live vectors.
func (c *Collection) verify(ctx context.Context, mark uint64) (*roaring.Bitmap, error) {
	record, err := get(c.store.db, stateKey(c.number))
	if err != nil {
		return nil, readError(c.name, "state", err)
	}
	if c.state, err = decodeState(record); err != nil {
		return nil, readError(c.name, "state", err)
	}
	if c.state.sequence < mark {
		return nil, c.damaged("sequence", "%d batches are left of %d that were on the disk", c.state.sequence, mark)
	}
	live, table, err := c.verifyDocuments(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.verifyOrdinals(ctx, live, table); err != nil {
		return nil, err
	}
	if err := c.verifyVectors(ctx, live); err != nil {
		return nil, err
	}
	return live, nil
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

func (c *Collection) verifyOrdinals(ctx context.Context, live *roaring.Bitmap, want digest) error {
	var table digest
	count := uint64(0)
	err := scan(c.store.db, prefixKey(familyOrdinal, c.number), nil, func(key, value []byte) error {
		if count++; count%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		ordinal, ok := lastUint32(key, ordinalKeyLength)
		if !ok {
			return fmt.Errorf("%w: ordinal key of %d bytes", errRecord, len(key))
		}
		table = table.plus(ordinalElement(ordinal, value))
		return nil
	})
	if err != nil {
		return readError(c.name, "ordinals", err)
	}
	if count != live.GetCardinality() || table != want {
		return c.damaged("ordinals", "the table of %d differs from the %d documents", count, live.GetCardinality())
	}
	return nil
}

func (c *Collection) verifyVectors(ctx context.Context, live *roaring.Bitmap) error {
	count := uint64(0)
	err := scan(c.store.db, vectorPrefix(c.number, c.serving().number), nil, func(key, value []byte) error {
		if count++; count%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		ordinal, ok := lastUint32(key, vectorKeyLength)
		if !ok || !live.Contains(ordinal) || len(value) != 4*c.serving().config.Dimension {
			return fmt.Errorf("%w: vector %d of %d bytes, which no document names or which is no vector of this space", errRecord, ordinal, len(value))
		}
		return nil
	})
	if err != nil {
		return readError(c.name, "vectors", err)
	}
	if count != live.GetCardinality() {
		return c.damaged("vectors", "%d are there and %d were stored", count, live.GetCardinality())
	}
	return nil
}

// loadGraph loads the last checkpoint and brings in what was written after it.
// A checkpoint that can't be read is dropped and the graph built anew.
func (c *Collection) loadGraph(ctx context.Context, live *roaring.Bitmap) error {
	began := time.Now()
	record, err := get(c.store.db, checkpointKey(c.number, c.serving().number))
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
	c.serving().header = header
	c.changed.Store(int64(len(tail)))
	if len(header.written) > 0 {
		err = c.loadCheckpoint(ctx, header, live, tail)
		if err == nil || ctx.Err() != nil {
			c.store.log.Debug("store: graph loaded", "collection", c.name, "reinserted", c.reinserted, "duration", time.Since(began))
			return err
		}
		c.store.log.Warn("store: the checkpoint of a graph can't be used; it is built anew from the stored vectors", "collection", c.name, "error", err)
		c.dropped = true
	}
	c.serving().header = checkpointHeader{number: header.number} // whatever its sequence, the next one is due
	c.serving().saved = nil
	c.changed.Store(int64(c.state.live))
	c.rebuilt = c.state.live > 0
	if err := c.serving().end(); err != nil {
		return err
	}
	if c.serving().graph, err = newIndex(c.serving().config); err != nil {
		return err
	}
	if err := c.reinsert(ctx, live); err != nil {
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
func (c *Collection) loadCheckpoint(ctx context.Context, header checkpointHeader, live *roaring.Bitmap, tail []logOp) error {
	g := c.serving()
	graph, err := loadIndex(g.config, chunkSource{ctx: ctx, reader: c.store.db, collection: c.number, generation: g.number, header: header})
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
		if op.remove {
			removed = append(removed, op.ordinal)
			fresh.Remove(op.ordinal)
		} else {
			fresh.Add(op.ordinal)
		}
	}
	graph.Delete(removed)
	fresh.And(live) // damage of the log must not bring back what no document names
	if err := c.reinsert(ctx, fresh); err != nil {
		return err
	}
	if found := graph.Stats().Live; uint64(found) != c.state.live {
		c.reinserted = 0
		return fmt.Errorf("%w: it finds %d vectors of %d", index.ErrCorrupt, found, c.state.live)
	}
	return nil
}

// reinsertBatch is the number of vectors that one worker inserts at a time.
const reinsertBatch = 256

// reinsert inserts the stored vectors of some ordinals into the graph, on all
// cores.
func (c *Collection) reinsert(ctx context.Context, ordinals *roaring.Bitmap) error {
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
		group.Go(func() error { return c.reinsertSome(ctx, batch) })
	}
	return group.Wait()
}

func (c *Collection) reinsertSome(ctx context.Context, ordinals []uint32) error {
	dim := c.serving().config.Dimension
	rows := make([]float32, 0, len(ordinals)*dim)
	for _, ordinal := range ordinals {
		var err error
		if rows, err = c.appendRow(c.store.db, rows, ordinal); err != nil {
			return err
		}
	}
	v, err := c.serving().stamper.Stamp(rows)
	if err != nil {
		return c.damaged("vectors", "%v", err)
	}
	return c.serving().graph.Insert(ctx, ordinals, v)
}

// appendRow appends the stored vector of an ordinal to rows.
func (c *Collection) appendRow(reader pebble.Reader, rows []float32, ordinal uint32) ([]float32, error) {
	value, closer, err := reader.Get(vectorKey(c.number, c.serving().number, ordinal))
	if err != nil {
		return nil, readError(c.name, fmt.Sprintf("vector %d", ordinal), err)
	}
	rows, err = appendVector(rows, value, c.serving().config.Dimension)
	if err = errors.Join(err, closer.Close()); err != nil {
		return nil, readError(c.name, fmt.Sprintf("vector %d", ordinal), err)
	}
	return rows, nil
}
