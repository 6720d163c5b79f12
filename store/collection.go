package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/vecino-db/vecino/compat"
)

// Collection is an open collection. It is safe for concurrent use, and one
// value serves everybody who opens it.
//
// Locks, in the order in which they are taken: life, points, mu; past is taken
// alone. No lock but
// life and the ids of a write's own points is held over a sync, so that
// concurrent writers share syncs.
type Collection struct {
	store     *Store
	name      string
	number    collectionNumber
	createdAt time.Time
	damage    error // set before the collection is shared: it can't be used

	generations atomic.Pointer[generations] // never nil

	life sync.RWMutex // held for reading over every operation
	gone error        // guarded by life: why there are no more operations

	points pointLocks
	past   past // what searches may still find as it was

	mu    sync.Mutex
	state state // of the last batch applied to Pebble, synced or not

	durable atomic.Uint64 // the greatest sequence known to be on the disk
	applied watermark     // what the graph has
	behind  atomic.Bool   // the graph lacks a durable change: no more checkpoints

	checkpointMu sync.Mutex
	changed      atomic.Int64 // points changed since the last checkpoint
	reinserted   int          // vectors inserted at Open, from the log or for a rebuild
	rebuilt      bool         // Open made the graph from the vectors
	dropped      bool         // because its checkpoint could not be used
}

func newCollection(s *Store, name string, record collectionRecord, g *generation) *Collection {
	c := &Collection{store: s, name: name, number: record.Number, createdAt: record.CreatedAt}
	c.generations.Store(&generations{serving: g})
	c.points.init()
	c.past.init()
	return c
}

// Name is the collection's name.
func (c *Collection) Name() string { return c.name }

// Manifest is the manifest of the generation that serves.
func (c *Collection) Manifest() compat.Manifest { return *c.serving().manifest.Load() }

// serving is the generation that answers; nil where damage keeps it from being
// read. What must see one generation from its beginning to its end calls it
// once.
func (c *Collection) serving() *generation { return c.generations.Load().serving }

// begin starts an operation; end must follow when it gives no error.
func (c *Collection) begin() error {
	c.life.RLock()
	if c.gone != nil {
		defer c.life.RUnlock()
		return c.gone
	}
	if c.damage != nil {
		defer c.life.RUnlock()
		return c.damage
	}
	return nil
}

func (c *Collection) end() { c.life.RUnlock() }

// finish waits for running operations and lets no others begin.
func (c *Collection) finish(why error) {
	c.life.Lock()
	defer c.life.Unlock()
	c.gone = why
}

// current is the state of this moment.
func (c *Collection) current() state {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

func (c *Collection) describe() (Description, error) {
	c.life.RLock()
	defer c.life.RUnlock()
	if c.gone != nil {
		return Description{}, c.gone
	}
	d := Description{Name: c.name, CreatedAt: c.createdAt, Damage: c.damage}
	if c.serving() != nil {
		d.Manifest, d.Generation = c.Manifest(), c.serving().number
	}
	if c.damage == nil {
		d.Points = int(c.current().live)
		d.Index = c.serving().graph.Stats()
		// A write's new vectors are in the index before the old ones go.
		d.Indexed, d.Deleted = min(d.Index.Live, d.Points)-d.Index.Pending, d.Index.Deleted
		d.Indexed = max(d.Indexed, 0)
	}
	return d, nil
}

// maxBatchBytes bounds what one Put commits whole.
const maxBatchBytes = 512 << 20

// Put stores documents with their vectors (row i of v belongs to docs[i]),
// replacing those of the same ids; of equal ids in docs the last wins. All of
// it is durable when Put returns without an error, and none of it when it
// returns one, except with ErrFailed, when the disk decides; the vectors are
// searchable by then too. It gives the sequence number of the change, which is
// the documents' version. A canceled context stops it before the commit only.
// Errors: index.ErrSpace for vectors of another space, ErrBatch, ErrDocument,
// ErrDiskFull, ErrFull, ErrFailed, ErrNotFound, ErrClosed.
func (c *Collection) Put(ctx context.Context, docs []Document, v compat.Vectors) (sequence uint64, err error) {
	if err := c.begin(); err != nil {
		return 0, err
	}
	defer c.end()
	if len(docs) != v.Len() {
		return 0, fmt.Errorf("%w: %d documents and %d vectors; give one vector for each", ErrBatch, len(docs), v.Len())
	}
	if len(docs) == 0 {
		return c.current().sequence, nil
	}
	if err := c.checkSpace(v); err != nil {
		return 0, err
	}
	if err := c.store.room(); err != nil {
		return 0, err
	}
	last := make(map[ID]int, len(docs))
	size := 0
	for i := range docs {
		if err := docs[i].validate(); err != nil {
			return 0, err
		}
		if size += len(docs[i].Text) + len(docs[i].Payload) + 4*v.Dim() + 1024; size > maxBatchBytes {
			return 0, fmt.Errorf("%w: more than %d MiB; split it", ErrBatch, maxBatchBytes>>20)
		}
		last[docs[i].ID] = i
	}
	changes := make([]change, 0, len(last))
	for i := range docs {
		if last[docs[i].ID] == i {
			changes = append(changes, change{id: docs[i].ID, record: encodeDocument(&docs[i]), row: v.Row(i)})
		}
	}
	_, sequence, err = c.commit(ctx, changes, v)
	return sequence, err
}

// Delete removes points and says how many of them there were, and the sequence
// number of the change. Durability and errors are those of Put.
func (c *Collection) Delete(ctx context.Context, ids []ID) (deleted int, sequence uint64, err error) {
	if err := c.begin(); err != nil {
		return 0, 0, err
	}
	defer c.end()
	seen := make(map[ID]struct{}, len(ids))
	var changes []change
	for _, id := range ids {
		if _, ok := seen[id]; !ok {
			seen[id] = struct{}{}
			changes = append(changes, change{id: id})
		}
	}
	return c.commit(ctx, changes, compat.Vectors{})
}

// change is what one write does to one point.
type change struct {
	id      ID
	record  []byte    // the document, or nil to delete it
	row     []float32 // its vector
	existed bool
	old     head // of the document that is replaced or deleted, if it existed
	unmoved bool // the vector is the stored one: it keeps its ordinal
}

// commit makes changes of distinct ids durable and then visible to searches.
// whole is the batch that the changes' rows were taken from. It gives the
// number of points that existed.
func (c *Collection) commit(ctx context.Context, changes []change, whole compat.Vectors) (existed int, sequence uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, 0, err
	}
	ids := make([]ID, len(changes))
	for i := range changes {
		ids[i] = changes[i].id
	}
	// Held until the graph has the change: otherwise a later write of the same
	// point could overtake this one there.
	unlock := c.points.lock(ids)
	defer unlock()
	changes, err = c.readOld(changes)
	if err != nil {
		return 0, 0, err
	}
	if len(changes) == 0 {
		return 0, c.current().sequence, nil
	}
	for i := range changes {
		if changes[i].existed {
			existed++
		}
	}
	before := c.past.keep(c.store.db, replaced(changes))
	defer func() { err = errors.Join(err, c.past.leave(before)) }()
	w, err := c.apply(changes)
	if err != nil {
		return 0, 0, err
	}
	if err := c.await(w.batch); err != nil {
		return 0, 0, err
	}
	c.raiseDurable(w.sequence)
	if err := c.index(ctx, w, whole); err != nil {
		return 0, 0, err
	}
	c.changed.Add(int64(len(changes)))
	c.store.due(c)
	return existed, w.sequence, nil
}

// readOld fills in what the changes replace, and leaves out deletions of
// points that are not there. The points are locked, so it stays true.
func (c *Collection) readOld(changes []change) ([]change, error) {
	kept := changes[:0]
	for _, ch := range changes {
		record, err := get(c.store.db, documentKey(c.number, ch.id))
		if err != nil {
			return nil, readError(c.name, "document "+ch.id.String(), err)
		}
		if record == nil {
			if ch.record != nil {
				kept = append(kept, ch)
			}
			continue
		}
		ch.existed = true
		if ch.old, err = decodeHead(record); err != nil {
			return nil, readError(c.name, "document "+ch.id.String(), err)
		}
		if ch.record != nil {
			vector, err := get(c.store.db, vectorKey(c.number, c.serving().number, ch.old.ordinal))
			if err != nil {
				return nil, readError(c.name, "vector of "+ch.id.String(), err)
			}
			ch.unmoved = bytes.Equal(vector, encodeVector(ch.row))
		}
		kept = append(kept, ch)
	}
	return kept, nil
}

// replaced is the ordinals that changes make go.
func replaced(changes []change) (ordinals []uint32) {
	for i := range changes {
		if changes[i].existed && !changes[i].unmoved {
			ordinals = append(ordinals, changes[i].old.ordinal)
		}
	}
	return ordinals
}

// written is a batch that Pebble has and the disk perhaps not yet.
type written struct {
	batch    *pebble.Batch
	sequence uint64
	inserted []uint32    // new ordinals
	rows     [][]float32 // their vectors
	removed  []uint32    // ordinals that are gone
}

// apply gives the changes a sequence number and hands them to Pebble in its
// order. It does not wait for the disk.
func (c *Collection) apply(changes []change) (w written, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.store.failed(); err != nil {
		return written{}, err
	}
	if c.state.next+uint64(len(changes)) > 1<<32 {
		return written{}, fmt.Errorf("%w: %q has handed out every ordinal; migrate it to a new generation", ErrFull, c.name)
	}
	next := c.state
	next.sequence++
	batch := c.store.db.NewBatch()
	w = written{batch: batch, sequence: next.sequence}
	if err := c.fill(&w, &next, changes); err != nil {
		return written{}, errors.Join(err, batch.Close())
	}
	applied := false
	defer func() {
		if !applied { // an error, or a panic of Pebble that a server survives
			c.store.fail(fmt.Errorf("commit of batch %d of collection %q was cut short", next.sequence, c.name))
		}
	}()
	if c.store.options.testing.noSync {
		err = c.store.db.Apply(batch, pebble.NoSync)
	} else {
		err = c.store.db.ApplyNoSyncWait(batch, pebble.Sync)
	}
	if err != nil {
		c.store.fail(err)
		return written{}, c.store.failed()
	}
	applied = true
	c.state = next
	return w, nil
}

// fill writes the changes into w's batch and carries them into next.
func (c *Collection) fill(w *written, next *state, changes []change) error {
	var errs error
	set := func(key, value []byte) { errs = errors.Join(errs, w.batch.Set(key, value, nil)) }
	unset := func(key []byte) { errs = errors.Join(errs, w.batch.Delete(key, nil)) }
	var ops []logOp
	for i := range changes {
		ch := &changes[i]
		if ch.existed {
			next.live--
			next.digest = next.digest.minus(documentElement(ch.id, ch.old))
		}
		if ch.existed && !ch.unmoved {
			unset(ordinalKey(c.number, ch.old.ordinal))
			unset(vectorKey(c.number, c.serving().number, ch.old.ordinal))
			ops = append(ops, logOp{remove: true, ordinal: ch.old.ordinal})
			w.removed = append(w.removed, ch.old.ordinal)
		}
		if ch.record == nil {
			unset(documentKey(c.number, ch.id))
			continue
		}
		ordinal := ch.old.ordinal
		if !ch.unmoved {
			ordinal = uint32(next.next)
			next.next++
			set(ordinalKey(c.number, ordinal), appendID(nil, ch.id))
			set(vectorKey(c.number, c.serving().number, ordinal), encodeVector(ch.row))
			ops = append(ops, logOp{ordinal: ordinal})
			w.inserted = append(w.inserted, ordinal)
			w.rows = append(w.rows, ch.row)
		}
		h := sealHead(ch.record, w.sequence, ordinal)
		set(documentKey(c.number, ch.id), ch.record)
		next.live++
		next.digest = next.digest.plus(documentElement(ch.id, h))
	}
	set(logKey(c.number, w.sequence), encodeLog(ops))
	set(stateKey(c.number), next.encode())
	return errs
}

// await waits until the disk has a batch.
func (c *Collection) await(batch *pebble.Batch) error {
	if !c.store.options.testing.noSync {
		if err := batch.SyncWait(); err != nil {
			c.store.fail(err)
			return c.store.failed()
		}
	}
	return batch.Close()
}

// raiseDurable notes that a sequence, and with it all before, is on the disk.
func (c *Collection) raiseDurable(sequence uint64) {
	for {
		old := c.durable.Load()
		if old >= sequence || c.durable.CompareAndSwap(old, sequence) {
			return
		}
	}
}

// index brings a durable batch into the graph. New vectors come before old
// ones go, so that a point is always found, and for a moment twice.
func (c *Collection) index(ctx context.Context, w written, whole compat.Vectors) error {
	err := c.insert(context.WithoutCancel(ctx), w, whole)
	c.serving().graph.Delete(w.removed)
	if err != nil {
		c.behind.Store(true)
		c.store.log.Error("store: the index refused a stored vector; the next start brings it in", "collection", c.name, "sequence", w.sequence, "error", err)
		return fmt.Errorf("collection %q: batch %d is stored, but not yet searchable; restart: %w", c.name, w.sequence, err)
	}
	c.applied.finish(w.sequence)
	return nil
}

func (c *Collection) insert(ctx context.Context, w written, whole compat.Vectors) error {
	if len(w.inserted) == 0 {
		return nil
	}
	if len(w.inserted) < whole.Len() {
		// Some rows were not taken: they were doubled, or known already.
		rows := make([]float32, 0, len(w.rows)*whole.Dim())
		for _, row := range w.rows {
			rows = append(rows, row...)
		}
		var err error
		if whole, err = c.serving().stamper.Stamp(rows); err != nil {
			return err
		}
	}
	return c.serving().graph.Insert(ctx, w.inserted, whole)
}
