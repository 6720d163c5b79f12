package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/cockroachdb/pebble/v2"

	"github.com/vecino-db/vecino/index/filter"
	"github.com/vecino-db/vecino/index/postings"
)

// PayloadType is what a payload index is for.
type PayloadType string

// The types of payload indexes, as Qdrant's clients name them.
const (
	PayloadKeyword  PayloadType = "keyword"
	PayloadUUID     PayloadType = "uuid"
	PayloadInteger  PayloadType = "integer"
	PayloadFloat    PayloadType = "float"
	PayloadBool     PayloadType = "bool"
	PayloadDatetime PayloadType = "datetime"
	PayloadText     PayloadType = "text"
)

// PayloadTypes is all of them.
func PayloadTypes() []PayloadType {
	return []PayloadType{PayloadKeyword, PayloadUUID, PayloadInteger, PayloadFloat, PayloadBool, PayloadDatetime, PayloadText}
}

// kind is what an index of the type keeps; 0: the type is unknown. Integers and
// floats are numbers in one order, so that a range finds both under either.
func (t PayloadType) kind() filter.Kind {
	switch t {
	case PayloadKeyword, PayloadUUID:
		return filter.KindKeyword
	case PayloadInteger, PayloadFloat:
		return filter.KindNumber
	case PayloadBool:
		return filter.KindBool
	case PayloadDatetime:
		return filter.KindTime
	case PayloadText:
		return filter.KindText
	}
	return 0
}

// PayloadIndex describes a payload index.
type PayloadIndex struct {
	Field  string // the path, as it was given
	Type   PayloadType
	Params json.RawMessage // what else the client said of it; nil: nothing
	// Ready: filters use it. Until then Done of Total documents are in it.
	Ready       bool
	Done, Total int
	Points      int   // documents with a value of the type
	Bytes       int64 // of memory, estimated
}

// maxPayloadIndexes bounds the indexes of a collection: every write pays for
// each of them.
const maxPayloadIndexes = 64

// payloadRecord is a payload index on the disk.
type payloadRecord struct {
	Field    string          `json:"field"`
	Type     PayloadType     `json:"type"`
	Params   json.RawMessage `json:"params,omitempty"`
	Complete bool            `json:"complete"` // every document has its record
}

// payloadIndexes is the payload indexes of a collection.
type payloadIndexes struct {
	// list is replaced whole, under Collection.mu and mu.
	list atomic.Pointer[[]*payloadIndex]
	// mu guards what the indexes hold in memory. It is taken last. Changes of
	// documents hold Collection.mu, too, so whoever takes mu for reading while
	// he holds that sees the indexes of the collection's state.
	mu sync.RWMutex
}

// payloadIndex is one of them.
type payloadIndex struct {
	number uint32
	path   filter.Path
	record payloadRecord // as it was made: Complete is what the disk said at the start

	// Guarded by Collection.mu.
	complete bool       // every document has its record
	sum      postingSum // of the records on the disk

	// Guarded by payloadIndexes.mu.
	postings *postings.Index
	touched  *roaring.Bitmap // what writes changed since the scan that fills postings began
	ready    bool

	done, total atomic.Int64
	rebuilt     bool          // its records were no good at the start; the worker's until it is ready
	finished    chan struct{} // closed when it is ready or dropped
}

func newPayloadIndex(number uint32, record payloadRecord) (*payloadIndex, error) {
	path, err := filter.ParsePath(record.Field)
	if err != nil {
		return nil, err
	}
	x := &payloadIndex{number: number, path: path, record: record, complete: record.Complete, finished: make(chan struct{})}
	x.restart()
	return x, nil
}

// restart empties the memory for a scan to fill it.
func (x *payloadIndex) restart() {
	x.postings, x.touched = postings.New(x.record.Type.kind()), roaring.New()
}

func (p *payloadIndexes) all() []*payloadIndex {
	if list := p.list.Load(); list != nil {
		return *list
	}
	return nil
}

// find is the index of a path's canonical spelling, or nil.
func (p *payloadIndexes) find(path string) *payloadIndex {
	for _, x := range p.all() {
		if x.path.String() == path {
			return x
		}
	}
	return nil
}

// replace publishes another list. The caller holds Collection.mu.
func (p *payloadIndexes) replace(list []*payloadIndex) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list.Store(&list)
}

// PayloadIndexes describes the payload indexes, in the order in which they were
// made.
func (c *Collection) PayloadIndexes() []PayloadIndex {
	c.payload.mu.RLock()
	defer c.payload.mu.RUnlock()
	var list []PayloadIndex
	for _, x := range c.payload.all() {
		list = append(list, PayloadIndex{
			Field: x.record.Field, Type: x.record.Type, Params: x.record.Params,
			Ready: x.ready, Done: int(x.done.Load()), Total: int(x.total.Load()),
			Points: x.postings.Points(), Bytes: x.postings.Bytes(),
		})
	}
	return list
}

// CreatePayloadIndex makes an index of the values at a path (see package
// filter), which is built in the background. One that is there already is left
// alone; one of another type is replaced. Errors: ErrPayloadIndex, ErrDiskFull,
// ErrFailed, ErrNotFound, ErrClosed.
func (c *Collection) CreatePayloadIndex(ctx context.Context, field string, t PayloadType, params json.RawMessage) error {
	if err := c.begin(); err != nil {
		return err
	}
	defer c.end()
	if t.kind() == 0 {
		return fmt.Errorf("%w: there is no type %.40q; use one of %q", ErrPayloadIndex, t, PayloadTypes())
	}
	if err := errors.Join(ctx.Err(), c.store.room()); err != nil {
		return err
	}
	if len(params) > 0 && !json.Valid(params) {
		return fmt.Errorf("%w: the parameters are not JSON", ErrPayloadIndex)
	}
	x, err := newPayloadIndex(0, payloadRecord{Field: field, Type: t, Params: params})
	if err != nil {
		return fmt.Errorf("%w: %.80q: %w", ErrPayloadIndex, field, err)
	}
	batch, err := c.addPayloadIndex(x)
	if err != nil || batch == nil {
		return err
	}
	if err := c.await(batch); err != nil {
		return err
	}
	c.store.builds.add(c)
	return nil
}

// addPayloadIndex takes an index into the list, and hands the batch to Pebble
// that says so; nil when it is there already.
func (c *Collection) addPayloadIndex(x *payloadIndex) (*pebble.Batch, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := slices.Clone(c.payload.all())
	batch := c.store.db.NewBatch()
	for _, have := range list {
		x.number = max(x.number, have.number+1)
	}
	if have := c.payload.find(x.path.String()); have != nil {
		if have.record.Type == x.record.Type && bytes.Equal(have.record.Params, x.record.Params) {
			return nil, batch.Close()
		}
		list = slices.DeleteFunc(list, func(y *payloadIndex) bool { return y == have })
		if err := c.removePayloadKeys(batch, have); err != nil {
			return nil, errors.Join(err, batch.Close())
		}
		defer have.leave()
	}
	if len(list) >= maxPayloadIndexes {
		return nil, errors.Join(fmt.Errorf("%w: collection %q has %d; delete one that is not used", ErrPayloadIndex, c.name, len(list)), batch.Close())
	}
	if err := setJSON(batch, payloadKey(familyPayload, c.number, x.number), x.record); err != nil {
		return nil, errors.Join(err, batch.Close())
	}
	if err := c.handOver(batch); err != nil {
		return nil, err
	}
	x.total.Store(int64(c.state.live))
	c.payload.replace(append(list, x))
	return batch, nil
}

// leave lets those go who wait for the index.
func (x *payloadIndex) leave() {
	select {
	case <-x.finished:
	default:
		close(x.finished)
	}
}

// removePayloadKeys removes all that an index has on the disk.
func (c *Collection) removePayloadKeys(batch *pebble.Batch, x *payloadIndex) error {
	start := payloadKey(familyPosting, c.number, x.number)
	return errors.Join(
		batch.Delete(payloadKey(familyPayload, c.number, x.number), nil),
		batch.Delete(payloadKey(familyPostingSum, c.number, x.number), nil),
		batch.DeleteRange(start, prefixEnd(start), nil),
	)
}

// handOver gives a batch to Pebble without waiting for the disk; await does
// that. The caller holds Collection.mu, which puts batches in order.
func (c *Collection) handOver(batch *pebble.Batch) error {
	if err := c.store.failed(); err != nil {
		return errors.Join(err, batch.Close())
	}
	var err error
	if c.store.options.testing.noSync {
		err = c.store.db.Apply(batch, pebble.NoSync)
	} else {
		err = c.store.db.ApplyNoSyncWait(batch, pebble.Sync)
	}
	if err != nil {
		c.store.fail(err)
		return c.store.failed()
	}
	return nil
}

// DropPayloadIndex removes the index of a path and says whether there was one.
// Errors are those of CreatePayloadIndex.
func (c *Collection) DropPayloadIndex(ctx context.Context, field string) (existed bool, err error) {
	if err := c.begin(); err != nil {
		return false, err
	}
	defer c.end()
	path, err := filter.ParsePath(field)
	if err != nil {
		return false, fmt.Errorf("%w: %.80q: %w", ErrPayloadIndex, field, err)
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	c.mu.Lock()
	x := c.payload.find(path.String())
	if x == nil {
		c.mu.Unlock()
		return false, nil
	}
	batch := c.store.db.NewBatch()
	if err = c.removePayloadKeys(batch, x); err == nil {
		err = c.handOver(batch)
	}
	if err == nil {
		c.payload.replace(slices.DeleteFunc(slices.Clone(c.payload.all()), func(y *payloadIndex) bool { return y == x }))
		x.leave()
	}
	c.mu.Unlock()
	if err != nil {
		return false, err
	}
	return true, c.await(batch)
}

// AwaitPayloadIndexes waits until every payload index there is now answers
// filters or is dropped, or until the context ends.
func (c *Collection) AwaitPayloadIndexes(ctx context.Context) error {
	for _, x := range c.payload.all() {
		select {
		case <-x.finished:
			continue
		default:
		}
		select {
		case <-x.finished:
		case <-c.store.stopping:
			return ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
