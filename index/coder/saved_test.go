package coder_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/coder/hnsw"

	"github.com/vecino-db/vecino/index/coder"
	"github.com/vecino-db/vecino/index/indextest"
)

// export makes a graph with the library itself, and saves it.
func export[K cmp.Ordered](t testing.TB, rows []float32, dim int, key func(i int) K, distance hnsw.DistanceFunc) []byte {
	t.Helper()
	g := hnsw.NewGraph[K]()
	g.Distance = distance
	for i := range len(rows) / dim {
		g.Add(hnsw.MakeNode(key(i), rows[i*dim:(i+1)*dim]))
	}
	var b bytes.Buffer
	if err := g.Export(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// read collects the nodes of a saved graph.
func read(t testing.TB, data []byte, keys coder.KeyKind) (map[string][]float32, coder.Saved, error) {
	t.Helper()
	nodes := map[string][]float32{}
	saved, err := coder.ReadSaved(bytes.NewReader(data), keys, func(n coder.SavedNode) error {
		nodes[n.Key] = slices.Clone(n.Vector)
		return nil
	})
	return nodes, saved, err
}

// TestReadSaved reads graphs of every kind of keys that the library can save.
func TestReadSaved(t *testing.T) {
	const n, dim = 300, 6
	rows := indextest.Clustered(1, n, dim, 5, 0.5)
	for keys, c := range map[coder.KeyKind]struct {
		data []byte
		key  func(i int) string
	}{
		coder.KeysString:  {export(t, rows, dim, func(i int) string { return fmt.Sprintf("doc %d ß", i) }, hnsw.CosineDistance), func(i int) string { return fmt.Sprintf("doc %d ß", i) }},
		coder.KeysInt:     {export(t, rows, dim, func(i int) int { return i - 5 }, hnsw.EuclideanDistance), func(i int) string { return fmt.Sprint(i - 5) }},
		coder.KeysInt64:   {export(t, rows, dim, func(i int) int64 { return int64(i)<<40 - 9 }, hnsw.CosineDistance), func(i int) string { return fmt.Sprint(int64(i)<<40 - 9) }},
		coder.KeysUint64:  {export(t, rows, dim, func(i int) uint64 { return math.MaxUint64 - uint64(i) }, hnsw.CosineDistance), func(i int) string { return fmt.Sprint(math.MaxUint64 - uint64(i)) }},
		coder.KeysInt32:   {export(t, rows, dim, func(i int) int32 { return int32(-i) }, hnsw.CosineDistance), func(i int) string { return fmt.Sprint(-i) }},
		coder.KeysUint32:  {export(t, rows, dim, func(i int) uint32 { return math.MaxUint32 - uint32(i) }, hnsw.CosineDistance), func(i int) string { return fmt.Sprint(math.MaxUint32 - uint32(i)) }},
		coder.KeysInt16:   {export(t, rows, dim, func(i int) int16 { return int16(-i) }, hnsw.CosineDistance), func(i int) string { return fmt.Sprint(-i) }},
		coder.KeysUint16:  {export(t, rows, dim, func(i int) uint16 { return math.MaxUint16 - uint16(i) }, hnsw.CosineDistance), func(i int) string { return fmt.Sprint(math.MaxUint16 - i) }},
		coder.KeysFloat64: {export(t, rows, dim, func(i int) float64 { return float64(i) + 0.5 }, hnsw.CosineDistance), func(i int) string { return fmt.Sprint(float64(i) + 0.5) }},
		coder.KeysFloat32: {export(t, rows, dim, func(i int) float32 { return float32(i) + 0.5 }, hnsw.CosineDistance), func(i int) string { return fmt.Sprint(float32(i) + 0.5) }},
	} {
		nodes, saved, err := read(t, c.data, keys)
		if err != nil || len(nodes) != n || saved.Nodes != n || saved.Dim != dim || saved.M != 16 || saved.Layers < 2 {
			t.Fatalf("%s: %d nodes, %+v, %v", keys, len(nodes), saved, err)
		}
		want := "cosine"
		if keys == coder.KeysInt {
			want = "euclidean"
		}
		if saved.Distance != want || saved.EfSearch != 20 {
			t.Errorf("%s: %+v", keys, saved)
		}
		for i := range n {
			if !slices.Equal(nodes[c.key(i)], rows[i*dim:(i+1)*dim]) {
				t.Fatalf("%s: the vector of %s is %v", keys, c.key(i), nodes[c.key(i)])
			}
		}
		detected, again, err := coder.DetectKeys(bytes.NewReader(c.data))
		if err != nil || again != saved || size(detected) != size(keys) {
			t.Errorf("%s was taken for %s: %v", keys, detected, err)
		}
	}
}

// size groups the kinds that a file can't tell apart.
func size(k coder.KeyKind) int {
	return map[coder.KeyKind]int{
		coder.KeysString: -1, coder.KeysInt: 0, coder.KeysInt64: 8, coder.KeysUint64: 8, coder.KeysFloat64: 8,
		coder.KeysInt32: 4, coder.KeysUint32: 4, coder.KeysFloat32: 4, coder.KeysInt16: 2, coder.KeysUint16: 2, coder.KeysInt8: 1, coder.KeysUint8: 1,
	}[k]
}

// varints packs whole numbers as the library does.
func varints(values ...int64) (b []byte) {
	for _, v := range values {
		b = binary.AppendVarint(b, v)
	}
	return b
}

// TestHostileSaved: what claims more than there is, or is cut or damaged, is
// refused without a panic and without memory for what is claimed.
func TestHostileSaved(t *testing.T) {
	good := export(t, indextest.Clustered(2, 40, 4, 5, 0.5), 4, func(i int) int { return i }, hnsw.CosineDistance)
	for cut := range good {
		if _, _, err := read(t, good[:cut], coder.KeysInt); !errors.Is(err, coder.ErrSaved) {
			t.Fatalf("%d of %d bytes: %v", cut, len(good), err)
		}
	}
	head := slices.Concat(varints(1, 16), make([]byte, 8), varints(20, 6), []byte("cosine"))
	for name, data := range map[string][]byte{
		"longer":             append(slices.Clone(good), 0),
		"version":            slices.Concat(varints(2), good[1:]),
		"a name without end": slices.Concat(varints(1, 16), make([]byte, 8), varints(20, math.MaxInt64)),
		"a negative name":    slices.Concat(varints(1, 16), make([]byte, 8), varints(20, -1)),
		"layers":             slices.Concat(head, varints(math.MaxInt64)),
		"no layers":          slices.Concat(head, varints(0)),
		"negative layers":    slices.Concat(head, varints(-1)),
		"nodes":              slices.Concat(head, varints(1, math.MaxInt32)),
		"negative nodes":     slices.Concat(head, varints(1, -7)),
		"no nodes":           slices.Concat(head, varints(1, 0)),
		"dimension":          slices.Concat(head, varints(1, 1, 5, math.MaxInt64)),
		"no dimension":       slices.Concat(head, varints(1, 1, 5, 0, 0)),
		"other dimensions":   slices.Concat(head, varints(1, 2, 5, 1), make([]byte, 4), varints(0, 6, 2), make([]byte, 8), varints(0)),
		"neighbours":         slices.Concat(head, varints(1, 1, 5, 1), make([]byte, 4), varints(math.MaxInt32)),
		"a varint too long":  slices.Concat(head, bytes.Repeat([]byte{0xff}, 20)),
	} {
		if nodes, _, err := read(t, data, coder.KeysInt); !errors.Is(err, coder.ErrSaved) {
			t.Errorf("%s: %d nodes, %v", name, len(nodes), err)
		}
	}
	if _, _, err := read(t, good, "words"); !errors.Is(err, coder.ErrSaved) {
		t.Errorf("an unknown kind of keys: %v", err)
	}
	if _, _, err := coder.DetectKeys(bytes.NewReader(nil)); !errors.Is(err, coder.ErrSaved) {
		t.Errorf("an empty file: %v", err)
	}
	stop := errors.New("enough")
	if _, err := coder.ReadSaved(bytes.NewReader(good), coder.KeysInt, func(coder.SavedNode) error { return stop }); !errors.Is(err, stop) || errors.Is(err, coder.ErrSaved) {
		t.Errorf("the error of the taker: %v", err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 3000 {
		bad := slices.Clone(good)
		for range 1 + rng.IntN(3) {
			bad[rng.IntN(len(bad))] = byte(rng.Uint32())
		}
		if nodes, saved, err := read(t, bad, coder.KeysInt); err == nil && (saved.Nodes < len(nodes) || saved.Dim != 4) {
			t.Errorf("%d nodes, %+v", len(nodes), saved)
		}
	}
}

// FuzzReadSaved wants an error or vectors of one dimension, whatever is read.
func FuzzReadSaved(f *testing.F) {
	f.Add(export(f, indextest.Clustered(2, 3, 2, 2, 0.5), 2, func(i int) int { return i }, hnsw.CosineDistance))
	f.Add(export(f, indextest.Clustered(2, 3, 2, 2, 0.5), 2, func(i int) string { return fmt.Sprint(i) }, hnsw.CosineDistance))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, keys := range coder.KeyKinds() {
			n := 0
			saved, err := coder.ReadSaved(bytes.NewReader(data), keys, func(node coder.SavedNode) error {
				if n++; len(node.Vector) == 0 || len(node.Vector)*n > len(data) {
					t.Errorf("%d vectors of %d components in %d bytes", n, len(node.Vector), len(data))
				}
				return nil
			})
			if err == nil && (saved.Nodes != n || n == 0) {
				t.Errorf("%d nodes, %d handed out", saved.Nodes, n)
			}
		}
		if _, _, err := coder.DetectKeys(bytes.NewReader(data)); err != nil && !errors.Is(err, coder.ErrSaved) && !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	})
}
