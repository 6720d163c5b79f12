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
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/tail"
)

// Collection is an open collection. It is safe for concurrent use, and one
// value serves everybody who opens it.
//
// Locks, in the order in which they are taken: life, checkpointMu, writing,
// points, mu, payload.mu; past is taken alone. No lock but life, writing and the
// ids of a write's own points is held over a sync, so that concurrent writers
// share syncs.
type Collection struct {
	store     *Store
	name      string
	number    collectionNumber
	createdAt time.Time
	damage    error // set before the collection is shared: it can't be used

	generations atomic.Pointer[generations] // never nil

	over    context.Context // ends when the collection does, before life is taken
	endOver context.CancelFunc
	life    sync.RWMutex // held for reading over every operation
	gone    error        // guarded by life: why there are no more operations

	// writing is held for reading over every write, and for writing while the
	// generations change: a write goes to those that it saw at its beginning.
	writing sync.RWMutex

	points  pointLocks
	past    past // what searches may still find as it was
	payload payloadIndexes

	mu    sync.Mutex
	state state // of the last batch applied to Pebble, synced or not

	durable atomic.Uint64 // the greatest sequence known to be on the disk
	applied watermark     // what the graph has
	behind  atomic.Bool   // the graph lacks a durable change: no more checkpoints

	checkpointMu sync.Mutex
	changing     atomic.Int64                            // changes of the generations that want checkpointMu or have it
	giveWay      atomic.Pointer[context.CancelCauseFunc] // ends the checkpoint in the background; nil: there is none
	changed      atomic.Int64                            // points changed since the last checkpoint
	reinserted   int                                     // vectors inserted at Open, from the log or for a rebuild
	rebuilt      bool                                    // Open made the graph from the vectors
	dropped      bool                                    // because its checkpoint could not be used

	watched watched // what the watch has seen of it
}

func newCollection(s *Store, name string, record collectionRecord, g *generation) *Collection {
	c := &Collection{store: s, name: name, number: record.Number, createdAt: record.CreatedAt}
	c.generations.Store(&generations{serving: g})
	c.over, c.endOver = context.WithCancel(context.Background())
	c.points.init()
	c.past.init()
	return c
}

// Name is the collection's name.
func (c *Collection) Name() string { return c.name }

// CreatedAt is when the collection was made or restored from a snapshot: no two
// of one name have it in common.
func (c *Collection) CreatedAt() time.Time { return c.createdAt }

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
	c.endOver()
	c.life.Lock()
	defer c.life.Unlock()
	c.gone = why
}

// whileThere ends a context when the collection ends, too: nobody waits for
// long work on what is being dropped.
func (c *Collection) whileThere(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(c.over, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// Sequence is the number of the last write, durable or about to be.
func (c *Collection) Sequence() uint64 { return c.current().sequence }

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
		d.Watched = c.watched.get()
		d.Index = c.serving().graph.Stats()
		// A write's new vectors are in the index before the old ones go.
		d.Indexed, d.Deleted = min(d.Index.Live, d.Points)-d.Index.Pending, d.Index.Deleted
		d.Indexed = max(d.Indexed, 0)
	}
	return d, nil
}

// maxBatchBytes bounds what one Put commits whole.
const maxBatchBytes = 512 << 20

// Other is what a Put brings for the second generation of a collection.
type Other struct {
	// Space is the fingerprint of that generation's space; the zero one: nothing
	// is brought.
	Space compat.Fingerprint
	// Vectors are stamped for Space, unless there are none.
	Vectors compat.Vectors
	// Rows is for each document its row, or -1 where it has none in that
	// generation, which then lacks it; nil: row i is of document i.
	Rows []int
}

// Put stores documents with their vectors (row i of v belongs to docs[i]),
// replacing those of the same ids; of equal ids in docs the last wins. All of
// it is durable when Put returns without an error, and none of it when it
// returns one, except with ErrFailed, when the disk decides; the vectors are
// searchable by then too. It gives the sequence number of the change, which is
// the documents' version. A canceled context stops it before the commit only.
// During a migration the vectors of the second generation are derived from v,
// or it fails with ErrStandby: see PutBoth.
// Errors: index.ErrSpace for vectors of another space, ErrStandby, ErrBatch,
// ErrDocument, ErrDiskFull, ErrFull, ErrFailed, ErrNotFound, ErrClosed.
func (c *Collection) Put(ctx context.Context, docs []Document, v compat.Vectors) (sequence uint64, err error) {
	return c.PutBoth(ctx, docs, v, Other{})
}

// PutBoth is Put of a collection that has two generations, to both of which
// the documents go in one batch: v is for the one and other for the other,
// whichever of them serves when it is committed. So a writer that saw the two
// before a cut-over, a rollback, a commit or an abort succeeds after it. With
// one generation only, what is brought for another is left out.
func (c *Collection) PutBoth(ctx context.Context, docs []Document, v compat.Vectors, other Other) (sequence uint64, err error) {
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
	c.writing.RLock()
	defer c.writing.RUnlock()
	all := c.generations.Load()
	vectors, err := c.pair(all, len(docs), v, other)
	if err != nil {
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
		if size += len(docs[i].Text) + len(docs[i].Payload) + 4*(v.Dim()+vectors.standby.Dim()) + 1024; size > maxBatchBytes {
			return 0, fmt.Errorf("%w: more than %d MiB; split it", ErrBatch, maxBatchBytes>>20)
		}
		last[docs[i].ID] = i
	}
	changes := make([]change, 0, len(last))
	for i := range docs {
		if last[docs[i].ID] == i {
			changes = append(changes, change{id: docs[i].ID, record: encodeDocument(&docs[i]), row: vectors.serving.Row(i), other: vectors.other(i)})
		}
	}
	_, sequence, err = c.commit(ctx, all, changes, vectors)
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
	c.writing.RLock()
	defer c.writing.RUnlock()
	return c.commit(ctx, c.generations.Load(), changes, paired{})
}

// change is what one write does to one point.
type change struct {
	id     ID
	record []byte // the document, or nil to delete it
	// edit makes record and row of the document that is there; see Edit.
	edit    func(d *Document) (row []float32, err error)
	row     []float32 // its vector
	other   []float32 // its vector in the standby; nil: it has none there
	ordinal uint32    // the vectors', when the change was applied
	existed bool
	old     head // of the document that is replaced or deleted, if it existed
	// oldRecord is that document.
	oldRecord []byte
	unmoved   bool // the vectors are the stored ones: it keeps its ordinal
}

// commit makes changes of distinct ids durable and then visible to searches.
// vectors are what the changes' rows were taken from. It gives the number of
// points that existed. The caller holds writing, so that the generations stay.
func (c *Collection) commit(ctx context.Context, all *generations, changes []change, vectors paired) (existed int, sequence uint64, err error) {
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
	changes, err = c.readOld(all, changes)
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
	postings, err := c.summarize(c.payload.all(), changes)
	if err != nil {
		return 0, 0, err
	}
	before := c.past.keep(c.store.db, replaced(changes))
	defer func() { err = errors.Join(err, c.past.leave(before)) }()
	w, err := c.apply(len(changes), func(w *written, next *state) error {
		w.changes, w.postings = changes, postings
		return c.fill(w, next, all, changes, vectors)
	})
	if err != nil {
		return 0, 0, err
	}
	if err := c.await(w.batch); err != nil {
		return 0, 0, err
	}
	c.raiseDurable(w.sequence)
	if err := c.index(ctx, all, w); err != nil {
		return 0, 0, err
	}
	c.changed.Add(int64(len(changes)))
	c.store.due(c)
	return existed, w.sequence, nil
}

// readOld fills in what the changes replace, and leaves out deletions of
// points that are not there. The points are locked, so it stays true.
func (c *Collection) readOld(all *generations, changes []change) ([]change, error) {
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
		ch.existed, ch.oldRecord = true, record
		if ch.old, err = decodeHead(record); err != nil {
			return nil, readError(c.name, "document "+ch.id.String(), err)
		}
		if ch.edit != nil {
			if err := c.edited(all, &ch, record); err != nil {
				return nil, err
			}
		} else if ch.record != nil {
			if ch.unmoved, err = c.unmoved(all, &ch, record); err != nil {
				return nil, readError(c.name, "vector of "+ch.id.String(), err)
			}
		}
		kept = append(kept, ch)
	}
	return kept, nil
}

// unmoved reports whether a change leaves the vectors of every generation as
// they are. Where the standby gets none, its vector, which it has or will be
// given, stays true as long as the text does.
func (c *Collection) unmoved(all *generations, ch *change, record []byte) (bool, error) {
	same := func(g *generation, row []float32) (bool, error) {
		vector, err := get(c.store.db, vectorKey(c.number, g.number, ch.old.ordinal))
		return bytes.Equal(vector, encodeVector(row)), err
	}
	ok, err := same(all.serving, ch.row)
	if !ok || err != nil || all.standby == nil {
		return ok, err
	}
	if ch.other != nil {
		return same(all.standby, ch.other)
	}
	_, have, hasText, _, err := splitDocument(record)
	if err != nil {
		return false, err
	}
	_, want, wantsText, _, err := splitDocument(ch.record)
	return hasText == wantsText && bytes.Equal(have, want), err
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
	inserts  []insertion
	removed  []uint32 // ordinals that are gone
	changes  []change
	postings summarized // what the payload indexes are told of the changes
	sums     []postingSum
}

// insertion is the new vectors of one generation.
type insertion struct {
	g        *generation
	ordinals []uint32
	rows     [][]float32
	whole    compat.Vectors                // what the rows were taken from
	each     func(n int, link func(i int)) // of Fill: who links them; nil: the tail
}

// apply gives a batch of up to n new ordinals its sequence number, lets fill
// write it and carry it into the state that follows, and hands it to Pebble in
// the order of sequences. It does not wait for the disk.
func (c *Collection) apply(n int, fill func(w *written, next *state) error) (w written, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.store.failed(); err != nil {
		return written{}, err
	}
	if c.state.next+uint64(n) > 1<<32 {
		return written{}, fmt.Errorf("%w: %q has handed out every ordinal; copy it into a new collection", ErrFull, c.name)
	}
	next := c.state
	next.sequence++
	batch := c.store.db.NewBatch()
	w = written{batch: batch, sequence: next.sequence}
	if err = fill(&w, &next); err == nil {
		err = c.fillPostings(&w)
	}
	if err != nil {
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
	for _, g := range c.generations.Load().each() {
		for _, ordinal := range w.removed {
			g.filled.Remove(ordinal)
		}
	}
	for _, in := range w.inserts {
		in.g.filled.AddMany(in.ordinals)
	}
	c.finishPostings(&w)
	return w, nil
}

// fill writes the changes into w's batch and carries them into next. The
// caller holds mu.
func (c *Collection) fill(w *written, next *state, all *generations, changes []change, vectors paired) error {
	var errs error
	set := func(key, value []byte) { errs = errors.Join(errs, w.batch.Set(key, value, nil)) }
	unset := func(key []byte) { errs = errors.Join(errs, w.batch.Delete(key, nil)) }
	serving, standby := insertion{g: all.serving, whole: vectors.serving}, insertion{g: all.standby, whole: vectors.standby}
	var ops []logOp
	for i := range changes {
		ch := &changes[i]
		if ch.existed {
			next.live--
			next.digest = next.digest.minus(documentElement(ch.id, ch.old))
		}
		key := appendID(nil, ch.id)
		if ch.existed && !ch.unmoved {
			unset(ordinalKey(c.number, ch.old.ordinal))
			unset(vectorKey(c.number, all.serving.number, ch.old.ordinal))
			if all.standby != nil && all.standby.filled.Contains(ch.old.ordinal) {
				unset(vectorKey(c.number, all.standby.number, ch.old.ordinal))
				next.standby.filled--
				next.standby.digest = next.standby.digest.minus(ordinalElement(ch.old.ordinal, key))
			}
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
			set(ordinalKey(c.number, ordinal), key)
			set(vectorKey(c.number, all.serving.number, ordinal), encodeVector(ch.row))
			serving.add(ordinal, ch.row)
			if all.standby != nil && ch.other != nil {
				set(vectorKey(c.number, all.standby.number, ordinal), encodeVector(ch.other))
				next.standby.filled++
				next.standby.digest = next.standby.digest.plus(ordinalElement(ordinal, key))
				standby.add(ordinal, ch.other)
			}
			ops = append(ops, logOp{ordinal: ordinal})
		}
		ch.ordinal = ordinal
		h := sealHead(ch.record, w.sequence, ordinal)
		set(documentKey(c.number, ch.id), ch.record)
		next.live++
		next.digest = next.digest.plus(documentElement(ch.id, h))
	}
	set(logKey(c.number, w.sequence), encodeLog(ops))
	set(stateKey(c.number), next.encode())
	for _, in := range []insertion{serving, standby} {
		if len(in.ordinals) > 0 {
			w.inserts = append(w.inserts, in)
		}
	}
	return errs
}

func (in *insertion) add(ordinal uint32, row []float32) {
	in.ordinals, in.rows = append(in.ordinals, ordinal), append(in.rows, row)
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

// index brings a durable batch into the graphs. New vectors come before old
// ones go, so that a point is always found, and for a moment twice.
func (c *Collection) index(ctx context.Context, all *generations, w written) error {
	var err error
	for _, in := range w.inserts {
		err = errors.Join(err, in.insert(context.WithoutCancel(ctx)))
	}
	for _, g := range all.each() {
		g.graph.Delete(w.removed)
	}
	if err != nil {
		c.behind.Store(true)
		c.store.log.Error("store: the index refused a stored vector; the next start brings it in", "collection", c.name, "sequence", w.sequence, "error", err)
		return fmt.Errorf("collection %q: batch %d is stored, but not yet searchable; restart: %w", c.name, w.sequence, err)
	}
	c.applied.finish(w.sequence)
	return nil
}

// insert brings the vectors into the generation's graph.
func (in insertion) insert(ctx context.Context) error {
	if len(in.ordinals) != in.whole.Len() {
		// Some rows were not taken: they were doubled, or known already. Or it is
		// an edit, whose rows have no order.
		rows := make([]float32, 0, len(in.rows)*in.g.config.Dimension)
		for _, row := range in.rows {
			rows = append(rows, row...)
		}
		var err error
		if in.whole, err = in.g.stamper.Stamp(rows); err != nil {
			return err
		}
	}
	if t, ok := index.As[*tail.Index](in.g.graph); ok && in.each != nil {
		errs := make([]error, len(in.ordinals))
		in.each(len(in.ordinals), func(i int) { errs[i] = t.Link(ctx, in.ordinals[i:i+1], in.whole.Slice(i, i+1)) })
		return errors.Join(errs...)
	}
	return in.g.graph.Insert(ctx, in.ordinals, in.whole)
}
