package api

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/store"
)

// TestDiskFull: a migration that the disk has no room for is refused, and so is
// one that would have it but for what others will still take.
func TestDiskFull(t *testing.T) {
	s := open(t, t.TempDir(), "")
	defer func() { shut(t, s) }()
	a, b, c := filled(t, s, "a", 60), filled(t, s, "b", 60), filled(t, s, "c", 60)
	want, err := s.target(t.Context(), a, hashWish(128))
	if err != nil {
		t.Fatal(err)
	}
	need := diskNeed(want, 60)
	free := need - 1
	s.free = func() (int64, error) { return free, nil }
	isFull := func(c *Collection) {
		t.Helper()
		var refused *Error
		_, err := s.Migrate(t.Context(), c, MigrationWish{Wish: hashWish(128)})
		if !errors.As(err, &refused) || refused.Kind != KindFull || refused.Code != "disk_full" || !errors.Is(err, store.ErrDiskFull) {
			t.Errorf("%s: %v", c.Name(), err)
		}
		if c.now().standby != nil || len(s.MigrationsUnderWay()) > 2 {
			t.Errorf("%s: a migration that was refused is there", c.Name())
		}
	}
	isFull(a)
	// The first works, the second is queued behind it, and both lack most.
	free = 2*need + need/2
	first := slowly(t, s, a, hashWish(128))
	second := slowly(t, s, b, hashWish(128))
	isFull(c)
	e, err := s.Estimate(t.Context(), c, hashWish(128), 0)
	if err != nil || e.DiskBytes != need || e.FreeBytes < need/2 || e.FreeBytes >= need {
		t.Errorf("the plan: %d of %d free, want %d and about half of it; %v", e.DiskBytes, e.FreeBytes, need, err)
	}
	if _, err := s.MigrationStep(t.Context(), b, second.ID, migrate.EventAbort, StepOptions{}); err != nil {
		t.Fatal(err)
	}
	slowly(t, s, c, hashWish(128))
	if _, err := s.MigrationStep(t.Context(), a, first.ID, migrate.EventAbort, StepOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestPlanCountsCache: the disk of a plan has what the embedding cache will take,
// as far as that has room.
func TestPlanCountsCache(t *testing.T) {
	s := openRemote(t, t.TempDir(), newEndpoint(t), time.Hour)
	defer func() { shut(t, s) }()
	c := filled(t, s, "c", 20)
	w := Wish{Embedding: &EmbeddingWish{Model: "openai:m"}}
	want, err := s.target(t.Context(), c, w)
	if err != nil {
		t.Fatal(err)
	}
	e, err := s.Estimate(t.Context(), c, w, 0)
	if err != nil || e.DiskBytes != diskNeed(want, 20)+cacheNeed(want, 20) {
		t.Errorf("the disk: %d, want %d and %d of the cache; %v", e.DiskBytes, diskNeed(want, 20), cacheNeed(want, 20), err)
	}
	m := slowly(t, s, c, w)
	before := s.CacheStats().Bytes
	var texts []string
	for _, p := range seasons(1000, 1200) {
		texts = append(texts, p.Text)
	}
	if _, err := c.encode(t.Context(), c.now().standby, embed.RoleDocument, texts); err != nil {
		t.Fatal(err)
	}
	if grown, plan := s.CacheStats().Bytes-before, cacheNeed(want, len(texts)); float64(grown) < 0.8*float64(plan) || float64(grown) > 1.2*float64(plan) {
		t.Errorf("the cache has grown by %d, a plan says %d", grown, plan)
	}
	if _, err := s.MigrationStep(t.Context(), c, m.ID, migrate.EventPause, StepOptions{}); err != nil {
		t.Fatal(err)
	}
	standby, _ := c.stored.Standby()
	lacking := standby.Documents - standby.Filled
	_, room, err := s.room()
	if stats := s.CacheStats(); err != nil || room != stats.MaxBytes-stats.Bytes-cacheNeed(want, lacking) {
		t.Errorf("the cache has room for %d: %+v %v", room, stats, err)
	}
}

// TestPlanCountsWeights: the memory of a plan has the weights of an encoder that
// no collection has, again and again.
func TestPlanCountsWeights(t *testing.T) {
	models := t.TempDir()
	writeModel(t, filepath.Join(models, "colours"), []float32{1, 0, 0})
	s := open(t, t.TempDir(), models)
	defer func() { shut(t, s) }()
	c := filled(t, s, "c", 20)
	w := Wish{Embedding: &EmbeddingWish{Model: "local:colours"}}
	want, err := s.target(t.Context(), c, w)
	if err != nil {
		t.Fatal(err)
	}
	memory := func() int64 {
		t.Helper()
		e, err := s.Estimate(t.Context(), c, w, 0)
		if err != nil {
			t.Fatal(err)
		}
		return e.MemoryBytes - 20*graphBytes(want)
	}
	first := memory()
	if first < 100 || memory() != first {
		t.Errorf("weights of %d bytes, then of %d", first, memory())
	}
	if _, err := s.Create(t.Context(), "other", w); err != nil {
		t.Fatal(err)
	}
	if n := memory(); n != 0 {
		t.Errorf("weights of %d bytes that another collection has", n)
	}
}
