package embed_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/embedtest"
	"github.com/vecino-db/vecino/embed/hash"
)

// remembered is what a memory cache keeps, and under what.
type remembered struct {
	fingerprint compat.Fingerprint
	query       bool
	key         [32]byte
}

// memory is a Cache that keeps everything. It can be made to fail.
type memory struct {
	mu      sync.Mutex
	rows    map[remembered][]float32
	notes   map[remembered]uint64
	failure error
	absurd  int // what Get answers instead of the truth
}

func newMemory() *memory {
	return &memory{rows: map[remembered][]float32{}, notes: map[remembered]uint64{}}
}

func (m *memory) Get(_ context.Context, stamper *compat.Stamper, query bool, keys [][32]byte) (compat.Vectors, []int, []uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rows := make([]int, len(keys))
	var floats []float32
	var notes []uint64
	for i, key := range keys {
		at := remembered{stamper.Fingerprint(), query, key}
		if rows[i] = -1; m.rows[at] != nil {
			rows[i] = len(notes)
			floats, notes = append(floats, m.rows[at]...), append(notes, m.notes[at])
		}
	}
	v, err := stamper.Stamp(floats)
	switch m.absurd {
	case 1:
		rows = rows[1:]
	case 2:
		rows[0] = len(notes)
	case 3:
		notes = append(notes, 1)
	case 4:
		v = compat.Vectors{}
	case 5: // more rows than were asked for
		v, err = compat.Concat(v, v)
		notes = append(notes, notes...)
	}
	return v, rows, notes, errors.Join(err, m.failure)
}

func (m *memory) Put(_ context.Context, query bool, keys [][32]byte, v compat.Vectors, notes []uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failure != nil {
		return m.failure
	}
	for i, key := range keys {
		at := remembered{v.Fingerprint(), query, key}
		m.rows[at], m.notes[at] = slices.Clone(v.Row(i)), notes[i]
	}
	return nil
}

func behindCache(t testing.TB, enc embed.Encoder, cache embed.Cache) embed.Encoder {
	t.Helper()
	cached, err := embed.Cached(enc, cache)
	if err != nil {
		t.Fatal(err)
	}
	return cached
}

func TestCachedConformance(t *testing.T) {
	cache := newMemory()
	embedtest.Run(t, func() embed.Encoder {
		enc, err := hash.New(hash.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return behindCache(t, enc, cache)
	}, embedtest.Options{Unembeddable: []string{"", " \t"}})
}

// TestCachedEquality: random batches with texts that come again, in both
// roles, of two spaces and one cache, give what the encoder gives; nothing is
// encoded twice.
func TestCachedEquality(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cache := newMemory()
		spaces := []*slow{{limit: 6}, {limit: 9}}
		encoders := []embed.Encoder{}
		for _, s := range spaces {
			cached, err := embed.Cached(s, cache)
			if err != nil {
				t.Fatal(err)
			}
			encoders = append(encoders, cached)
		}
		text := rapid.StringMatching(`[a-c]{1,3}(xxxxxxxx)?`)
		type encoding struct {
			space int
			role  embed.Role
			text  string
		}
		once := map[encoding]bool{}
		for range rapid.IntRange(1, 8).Draw(t, "batches") {
			space := rapid.IntRange(0, 1).Draw(t, "space")
			role := embed.Role(rapid.IntRange(0, 1).Draw(t, "role"))
			texts := rapid.SliceOfN(text, 1, 12).Draw(t, "texts")
			before := len(spaces[space].took())
			out, err := encoders[space].Encode(context.Background(), role, texts)
			if err == nil {
				err = correct(out, spaces[space], role, texts)
			}
			if err != nil {
				t.Fatalf("%q as %v: %v", texts, role, err)
			}
			for _, b := range spaces[space].took()[before:] {
				for _, text := range b.texts {
					if once[encoding{space, role, text}] {
						t.Fatalf("%q as %v was encoded twice", text, role)
					}
					once[encoding{space, role, text}] = true
				}
			}
			for _, text := range texts {
				if !once[encoding{space, role, text}] {
					t.Fatalf("%q as %v came from another space or role", text, role)
				}
			}
		}
	})
}

// TestCachedTrouble: a cache that fails, or answers nonsense, costs time only;
// errors of the encoder keep their index and are not kept.
func TestCachedTrouble(t *testing.T) {
	ctx := context.Background()
	enc, cache := &slow{}, newMemory()
	cached := behindCache(t, enc, cache)
	texts := []string{"one", "two", "three"}
	check := func(what string, batches int) {
		t.Helper()
		out, err := cached.Encode(ctx, embed.RoleDocument, texts)
		if err == nil {
			err = correct(out, enc, embed.RoleDocument, texts)
		}
		if err != nil || len(enc.took()) != batches {
			t.Errorf("%s: %v, %d batches, want %d", what, err, len(enc.took()), batches)
		}
	}
	cache.failure = errors.New("broken")
	check("a broken cache", 1)
	check("a broken cache", 2)
	cache.failure = nil
	check("an empty cache", 3)
	check("a full cache", 3)
	for absurd := 1; absurd <= 4; absurd++ {
		cache.absurd = absurd
		check("nonsense", 3+absurd)
	}
	cache.absurd = 5
	check("idle rows", 7)
	cache.absurd = 0

	var refused *embed.TextError
	for range 2 {
		if _, err := cached.Encode(ctx, embed.RoleDocument, []string{"one", "x", "two", "bad", "bad"}); !errors.As(err, &refused) || refused.Index != 3 {
			t.Errorf("a refused text: %v, want a *TextError of index 3", err)
		}
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := cached.Encode(cancelled, embed.RoleDocument, texts); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that has left: %v", err)
	}
}

// TestCachedBeforeScheduler is the order that Cached's comment gives: hits
// never see the queue.
func TestCachedBeforeScheduler(t *testing.T) {
	enc := &slow{}
	s := schedule(t, enc, embed.SchedulerOptions{})
	cached := behindCache(t, s, newMemory())
	for range 3 {
		out, err := cached.Encode(context.Background(), embed.RoleQuery, []string{"a", "b"})
		if err == nil {
			err = correct(out, enc, embed.RoleQuery, []string{"a", "b"})
		}
		if err != nil {
			t.Error(err)
		}
	}
	if m := s.Metrics().Priorities[embed.PriorityQuery]; m.Done != 1 {
		t.Errorf("the scheduler saw %d requests", m.Done)
	}
}
