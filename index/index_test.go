package index_test

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

func TestTopKKeepsTheNearest(t *testing.T) {
	const seed = 3
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		metric := []compat.Metric{compat.MetricCosine, compat.MetricL2}[rng.IntN(2)]
		n, k := rng.IntN(60), rng.IntN(70)-2
		hits := make([]index.Hit, n)
		best := index.NewTopK(k, metric)
		for i, o := range rng.Perm(n) {
			hits[i] = index.Hit{Ordinal: uint32(o), Score: float32(rng.IntN(8))} // many ties
			best.Offer(hits[i])
		}
		slices.SortFunc(hits, func(a, b index.Hit) int {
			if c := cmp.Compare(a.Score, b.Score); c != 0 {
				if metric == compat.MetricL2 {
					return c
				}
				return -c
			}
			return cmp.Compare(a.Ordinal, b.Ordinal)
		})
		shuffled := slices.Clone(hits)
		rng.Shuffle(n, func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		index.SortHits(shuffled, metric)
		if !slices.Equal(shuffled, hits) {
			t.Fatalf("SortHits gave %v, want %v", shuffled, hits)
		}
		want := hits[:min(max(k, 0), n)]
		if worst, full := best.Farthest(); len(want) > 0 && (worst != want[len(want)-1].Score || full != (n >= k)) {
			t.Fatalf("Farthest is %g, %v of %v", worst, full, want)
		}
		if got := best.Take(); !slices.Equal(got, want) {
			t.Fatalf("%s, k %d: got %v, want %v", metric, k, got, want)
		}
	}
}

var fingerprint = compat.Fingerprint{1, 2, 3}

func seal(number int, head bool) index.Seal {
	return index.Seal{Engine: compat.EngineHNSW, Number: number, Head: head, Fingerprint: fingerprint}
}

func TestChunksAreOpenedAsSealed(t *testing.T) {
	for _, size := range []int{0, 1, 1000} {
		payload := make([]byte, size)
		for i := range payload {
			payload[i] = byte(i)
		}
		s, got, err := index.Unseal(seal(2, size == 1).Close(payload))
		if err != nil || s != seal(2, size == 1) || !slices.Equal(got, payload) {
			t.Errorf("%d bytes: %+v, %v", size, s, err)
		}
	}
}

func TestEveryBitOfAChunkIsGuarded(t *testing.T) {
	good := seal(0, false).Close([]byte("payload"))
	for bit := range len(good) * 8 {
		c := slices.Clone(good)
		c[bit/8] ^= 1 << (bit % 8)
		if _, _, err := index.Unseal(c); !errors.Is(err, index.ErrCorrupt) {
			t.Fatalf("bit %d turned: %v", bit, err)
		}
	}
	for n := range good {
		if _, _, err := index.Unseal(good[:n]); !errors.Is(err, index.ErrCorrupt) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, _, err := index.Unseal(append(slices.Clone(good), 0)); !errors.Is(err, index.ErrCorrupt) {
		t.Errorf("a byte too many: %v", err)
	}
}

// TestChunkFormat pins the bytes of version 2.
func TestChunkFormat(t *testing.T) {
	want := "\x89VECIDX\n" + "\x02\x00\x00\x00" + "\x02\x00\x00\x00" + "\x01\x00\x00\x00" + "\x00\x00\x00\x00" +
		"hnsw\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00" + string(fingerprint[:]) + "\x02\x00\x00\x00\x00\x00\x00\x00"
	c := seal(2, true).Close([]byte("ab"))
	if got := string(c[:80]); got != want {
		t.Errorf("header\n%x, want\n%x", got, want)
	}
	if string(c[88:]) != "ab" {
		t.Errorf("payload %q", c[88:])
	}
}

func TestReaderRefusesWhatIsNotOfTheCheckpoint(t *testing.T) {
	cfg := index.Config{Stored: fingerprint}
	write := func(payloads ...string) index.Chunks {
		var chunks index.Chunks
		w := index.NewWriter(cfg, compat.EngineHNSW, func(number int, c index.Chunk) error {
			if number != len(chunks) {
				t.Errorf("chunk %d is put as %d", len(chunks), number)
			}
			chunks = append(chunks, c)
			return nil
		})
		for _, p := range payloads {
			if err := w.Part([]byte(p)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.Head([]byte("head")); err != nil {
			t.Fatal(err)
		}
		return chunks
	}
	read := func(engine compat.Engine, chunks index.Chunks) (string, error) {
		r, err := index.NewReader(cfg, engine, chunks)
		if err != nil {
			return "", err
		}
		got := make([]string, len(r.Sums()))
		err = r.Each(0, func(number int, payload []byte) error {
			got[number] = string(payload)
			return nil
		})
		return strings.Join(got, ",") + "," + string(r.Head()), err
	}
	good := write("a", "b", "c")
	if got, err := read(compat.EngineHNSW, good); err != nil || got != "a,b,c,head" {
		t.Errorf("read %q, %v", got, err)
	}
	other := write("a", "x", "c")
	if _, err := read(compat.EngineHNSW, index.Chunks{other[0], good[1], other[2], good[3]}); err != nil {
		t.Errorf("parts that are the same in two checkpoints: %v", err)
	}
	for name, chunks := range map[string]index.Chunks{
		"nothing":                    {},
		"no head":                    good[:3],
		"a part missing":             {good[0], good[1], good[3]},
		"parts swapped":              {good[1], good[0], good[2], good[3]},
		"a part of another":          {good[0], other[1], good[2], good[3]},
		"the head of another":        {good[0], good[1], good[2], other[3]},
		"a head that is a part":      {good[0], good[1], good[2], good[2]},
		"a head in a part's place":   {good[0], good[1], good[3], good[3]},
		"a head without parts' sums": {seal(1<<30, true).Close([]byte("12345678"))},
	} {
		if _, err := read(compat.EngineHNSW, chunks); !errors.Is(err, index.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := read(compat.EngineExact, good); !errors.Is(err, index.ErrCorrupt) {
		t.Errorf("chunks of another engine: %v", err)
	}
	cfg.Stored = compat.Fingerprint{9}
	if _, err := read(compat.EngineHNSW, good); !errors.Is(err, index.ErrSpace) {
		t.Errorf("chunks of another space: %v", err)
	}
}

func TestConfigIsValidated(t *testing.T) {
	good := index.Config{Fingerprint: fingerprint, Stored: fingerprint, Dimension: 3, Metric: compat.MetricDot}.WithDefaults()
	if err := good.Validate(); err != nil {
		t.Fatalf("defaults: %v", err)
	}
	for name, change := range map[string]func(*index.Config){
		"zero fingerprint":   func(c *index.Config) { c.Fingerprint = compat.Fingerprint{} },
		"zero stored":        func(c *index.Config) { c.Stored = compat.Fingerprint{} },
		"dimension 0":        func(c *index.Config) { c.Dimension = 0 },
		"dimension huge":     func(c *index.Config) { c.Dimension = compat.MaxDimension + 1 },
		"no metric":          func(c *index.Config) { c.Metric = "" },
		"m 1":                func(c *index.Config) { c.Build.M = 1 },
		"m huge":             func(c *index.Config) { c.Build.M = 1 << 40 },
		"efConstruction < 0": func(c *index.Config) { c.Build.EfConstruction = -1 },
		"ef huge":            func(c *index.Config) { c.Search.Ef = 1 << 40 },
		"encoding":           func(c *index.Config) { c.Build.Encoding = "pq" },
		"encoding of engine": func(c *index.Config) { c.Build.Encoding, c.Build.Engine = "int8", compat.EngineExact },
	} {
		c := good
		change(&c)
		if err := c.Validate(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
