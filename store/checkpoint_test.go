package store

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// chunkOf is the key of a chunk of generation 1 of collection 1.
func chunkOf(h checkpointHeader, i int) []byte { return chunkKey(1, 1, h.written[i], uint32(i)) }

// A checkpoint writes what has changed, and keeps the chunks of the one before
// until it counts. Old and new chunks are no checkpoint together.
func TestCheckpointsWriteWhatHasChanged(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	o := testOptionsFor(t, fs)
	o.CheckpointEvery = -1
	m := hnswManifest(1024) // some 500 points in each range of nodes
	s := open(t, o)
	c := create(t, s, "one", m)
	model := map[int]int{}
	for i := range 6 {
		put(t, c, 1, i*100, i*100+100)
	}
	for id := range 600 {
		model[id] = 1
	}
	if err := c.checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	first := c.serving().header
	old := map[int][]byte{}
	for i := range first.written {
		var err error
		if old[i], err = get(s.db, chunkOf(first, i)); err != nil {
			t.Fatal(err)
		}
	}

	// A delete changes nothing but the head.
	if _, _, err := c.Delete(ctx, []ID{NumID(7)}); err != nil {
		t.Fatal(err)
	}
	delete(model, 7)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := c.checkpoint(cancelled); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled checkpoint: %v", err)
	}
	if err := c.checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	second := c.serving().header
	want := append(slices.Clone(first.written[:len(first.written)-1]), second.number)
	if !slices.Equal(second.written, want) {
		t.Fatalf("after a delete the chunks are of checkpoints %v, want %v", second.written, want)
	}

	// New points change the last range's vectors, and links.
	put(t, c, 2, 600, 602)
	model[600], model[601] = 2, 2
	if err := c.checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	third := c.serving().header
	if len(third.written) != len(first.written) || third.written[0] != first.number || third.written[len(third.written)-1] != third.number {
		t.Fatalf("after two new points the chunks are of checkpoints %v", third.written)
	}
	closeStore(t, s)
	s = open(t, o)
	c = reopen(t, s, "one", m)
	if c.rebuilt || c.reinserted != 0 {
		t.Errorf("rebuilt %t, %d inserted again", c.rebuilt, c.reinserted)
	}
	if err := expect(c, model); err != nil {
		t.Error(err)
	}

	// The loaded graph goes on where the saved one was.
	if _, _, err := c.Delete(ctx, []ID{NumID(8)}); err != nil {
		t.Fatal(err)
	}
	delete(model, 8)
	if err := c.checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	last := c.serving().header
	if !slices.Equal(last.written[:len(last.written)-1], third.written[:len(third.written)-1]) {
		t.Errorf("after a start and a delete the chunks are of checkpoints %v, and were of %v", last.written, third.written)
	}

	for i, n := range last.written {
		if n == first.number {
			continue
		}
		saved, err := get(s.db, chunkOf(last, i))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.db.Set(chunkOf(last, i), old[i], pebble.Sync); err != nil {
			t.Fatal(err)
		}
		closeStore(t, s)
		s = open(t, o)
		c = reopen(t, s, "one", m)
		if !c.dropped || !c.rebuilt {
			t.Errorf("chunk %d of %d of an earlier checkpoint was taken", i, len(last.written))
		}
		if err := expect(c, model); err != nil {
			t.Error(err)
		}
		// Put all back as it was.
		header := c.serving().header
		if err := errors.Join(s.db.Set(chunkOf(last, i), saved, pebble.Sync), s.db.Set(checkpointKey(1, 1), last.encode(), pebble.Sync)); err != nil {
			t.Fatal(err)
		}
		c.serving().header.sequence = last.sequence // so that Close writes none
		if header.written != nil {
			t.Errorf("a rebuilt graph has chunks of checkpoints %v", header.written)
		}
	}
	closeStore(t, s)
}

func TestUnreadableCheckpointIsRebuilt(t *testing.T) {
	fs := vfs.NewMem()
	m := hnswManifest(8)
	s := open(t, testOptionsFor(t, fs))
	c := create(t, s, "one", m)
	put(t, c, 1, 0, 300)
	model := map[int]int{}
	for id := range 300 {
		model[id] = 1
	}
	closeStore(t, s)
	damages := map[string]func(db *pebble.DB, header checkpointHeader) error{
		"flipped byte": func(db *pebble.DB, h checkpointHeader) error {
			key := chunkOf(h, 0)
			chunk, err := get(db, key)
			if err != nil {
				return err
			}
			chunk[len(chunk)/2] ^= 1
			return db.Set(key, chunk, pebble.Sync)
		},
		"missing part": func(db *pebble.DB, h checkpointHeader) error {
			return db.Delete(chunkOf(h, 1), pebble.Sync)
		},
		"missing head": func(db *pebble.DB, h checkpointHeader) error {
			return db.Delete(chunkOf(h, len(h.written)-1), pebble.Sync)
		},
		"header that names too few": func(db *pebble.DB, h checkpointHeader) error {
			h.written = h.written[1:]
			return db.Set(checkpointKey(1, 1), h.encode(), pebble.Sync)
		},
		"header that names too many": func(db *pebble.DB, h checkpointHeader) error {
			last := len(h.written) - 1
			head, err := get(db, chunkOf(h, last))
			if err != nil {
				return err
			}
			h.written = append(h.written, h.written[last])
			return errors.Join(db.Set(chunkOf(h, last+1), head, pebble.Sync), db.Set(checkpointKey(1, 1), h.encode(), pebble.Sync))
		},
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			s := open(t, testOptionsFor(t, fs))
			c := reopen(t, s, "one", m)
			header := c.serving().header
			if err := damage(s.db, header); err != nil {
				t.Fatal(err)
			}
			closeStore(t, s)
			s = open(t, testOptionsFor(t, fs))
			c = reopen(t, s, "one", m)
			if !c.rebuilt || !c.dropped || c.reinserted != 300 {
				t.Errorf("the graph was loaded from a checkpoint with a %s", name)
			}
			if err := expect(c, model); err != nil {
				t.Error(err)
			}
			closeStore(t, s)
			s = open(t, testOptionsFor(t, fs))
			if c = reopen(t, s, "one", m); c.rebuilt {
				t.Error("the rebuilt graph was not checkpointed at Close")
			}
			closeStore(t, s)
		})
	}
}

// What Optimize wins is in the next checkpoint, though no point has changed.
func TestOptimizedGraphIsKept(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	o := testOptionsFor(t, fs)
	o.CheckpointEvery = -1
	m := hnswManifest(8)
	s := open(t, o)
	c := create(t, s, "one", m)
	put(t, c, 1, 0, 300)
	model := map[int]int{}
	for id := range 300 {
		model[id] = 1
	}
	if err := c.checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	before := c.serving().header
	if err := c.checkpoint(ctx); err != nil || c.serving().header.number != before.number {
		t.Fatalf("checkpoint %d after %d where nothing has changed, %v", c.serving().header.number, before.number, err)
	}
	last := 0
	if err := c.Optimize(ctx, func(done, total int) { last = done }); err != nil || last != 300 {
		t.Fatalf("Optimize came to %d: %v", last, err)
	}
	if after := c.serving().header; after.number != before.number+1 || after.sequence != before.sequence {
		t.Errorf("checkpoint %d of batch %d after Optimize, %d of %d before", after.number, after.sequence, before.number, before.sequence)
	}
	closeStore(t, s)
	s = open(t, o)
	defer closeStore(t, s)
	c = reopen(t, s, "one", m)
	if c.rebuilt || c.reinserted != 0 {
		t.Errorf("rebuilt %t, %d inserted again", c.rebuilt, c.reinserted)
	}
	if err := expect(c, model); err != nil {
		t.Error(err)
	}
}

// A change of the generations waits for no checkpoint in the background, which
// comes again when the change is made.
func TestCheckpointGivesWay(t *testing.T) {
	ctx := context.Background()
	o := testOptionsFor(t, vfs.NewMem())
	o.CheckpointEvery = -1
	s := open(t, o)
	c := create(t, s, "one", hnswManifest(1024))
	put(t, c, 1, 0, 100)
	before := c.serving().header

	c.lockCheckpoint()
	if gaveWay, err := c.checkpointInBackground(ctx); !gaveWay || err == nil {
		t.Errorf("beside a change: gave way %t, %v", gaveWay, err)
	}
	c.unlockCheckpoint()

	// One that has begun ends.
	c.checkpointMu.Lock()
	ended := make(chan bool)
	go func() {
		gaveWay, _ := c.checkpointInBackground(ctx)
		ended <- gaveWay
	}()
	for c.giveWay.Load() == nil {
		time.Sleep(time.Millisecond)
	}
	c.askWay()
	c.checkpointMu.Unlock()
	gaveWay := <-ended
	c.checkpointMu.Lock()
	c.unlockCheckpoint()
	if !gaveWay || c.serving().header.number != before.number {
		t.Errorf("gave way %t, checkpoint %d, want %d", gaveWay, c.serving().header.number, before.number)
	}
	if gaveWay, err := c.checkpointInBackground(ctx); gaveWay || err != nil || c.serving().header.number != before.number+1 {
		t.Errorf("after the change: gave way %t, %v, checkpoint %d", gaveWay, err, c.serving().header.number)
	}
	closeStore(t, s)
}
