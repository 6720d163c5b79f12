package dataset_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index/dataset"
	"github.com/vecino-db/vecino/index/indextest"
)

// le packs numbers, little-endian.
func le(t *testing.T, values ...any) []byte { return pack(t, binary.LittleEndian, values...) }

func pack(t *testing.T, order binary.ByteOrder, values ...any) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, v := range values {
		if err := binary.Write(&b, order, v); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// npy makes a .npy file.
func npy(t *testing.T, header string, body []byte) []byte {
	return slices.Concat([]byte("\x93NUMPY\x01\x00"), le(t, uint16(len(header))), []byte(header), body)
}

func zipped(t *testing.T, data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(data)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func file(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestFormats reads the same six numbers from every format.
func TestFormats(t *testing.T) {
	want := []float32{1, 2, 3, 4, 5, 6}
	f32 := le(t, want)
	fvecs := le(t, int32(3), want[:3], int32(3), want[3:])
	shape := "{'descr': '%', 'fortran_order': False, 'shape': (2, 3), }     \n"
	header := func(descr string) string { return string(bytes.Replace([]byte(shape), []byte("%"), []byte(descr), 1)) }
	for name, data := range map[string][]byte{
		"a.f32":                      f32,
		"a.fvecs":                    fvecs,
		"A.FVECS":                    fvecs,
		"a.fvecs.gz":                 zipped(t, fvecs),
		"a.bvecs":                    le(t, int32(3), []byte{1, 2, 3}, int32(3), []byte{4, 5, 6}),
		"f4.npy":                     npy(t, header("<f4"), f32),
		"f8.npy":                     npy(t, header(">f8"), pack(t, binary.BigEndian, []float64{1, 2, 3, 4, 5, 6})),
		"u1.npy":                     npy(t, header("|u1"), []byte{1, 2, 3, 4, 5, 6}),
		"i8.npy":                     npy(t, header("<i8"), le(t, []int64{1, 2, 3, 4, 5, 6})),
		"f2.npy":                     npy(t, header("<f2"), le(t, []uint16{0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600})),
		"v2.npy":                     slices.Concat([]byte("\x93NUMPY\x02\x00"), le(t, uint32(len(header("<f4")))), []byte(header("<f4")), f32),
		"a.idx":                      slices.Concat([]byte{0, 0, 8, 2}, pack(t, binary.BigEndian, uint32(2), uint32(3)), []byte{1, 2, 3, 4, 5, 6}),
		"x-images-idx3-ubyte.gz":     zipped(t, slices.Concat([]byte{0, 0, 8, 3}, pack(t, binary.BigEndian, uint32(2), uint32(3), uint32(1)), []byte{1, 2, 3, 4, 5, 6})),
		"x-images.idx3-ubyte":        slices.Concat([]byte{0, 0, 0x0d, 2}, pack(t, binary.BigEndian, uint32(2), uint32(3), want)),
		"another order of names.npy": npy(t, "{'shape': (2, 3),'fortran_order':False, 'descr':'<f4'}", f32),
	} {
		o := dataset.ReadOptions{}
		if name == "a.f32" {
			o.Dim = 3
		}
		path := file(t, name, data)
		s, err := dataset.Read(path, o)
		if err != nil || s.Dim != 3 || s.Len() != 2 || !slices.Equal(s.Data, want) {
			t.Errorf("%s: %v %v", name, s, err)
		}
		o.Dim, o.Limit = 3, 1
		if s, err := dataset.Read(path, o); err != nil || !slices.Equal(s.Data, want[:3]) {
			t.Errorf("%s, one row: %v %v", name, s, err)
		}
		if o.Dim = 2; name != "a.f32" {
			if _, err := dataset.Read(path, o); !errors.Is(err, dataset.ErrFormat) {
				t.Errorf("%s with another dimension: %v", name, err)
			}
		}
	}
}

// TestHalf compares all binary16 numbers with their value by definition.
func TestHalf(t *testing.T) {
	all := make([]uint16, 1<<16)
	for i := range all {
		all[i] = uint16(i)
	}
	s, err := dataset.Read(file(t, "h.npy", npy(t, "{'descr': '<f2', 'fortran_order': False, 'shape': (65536, 1)}", le(t, all))), dataset.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range s.Data {
		exponent, mantissa := i>>10&31, float64(i&1023)
		want := math.Ldexp(1+mantissa/1024, exponent-15)
		switch {
		case exponent == 0:
			want = math.Ldexp(mantissa/1024, -14)
		case exponent == 31 && mantissa != 0:
			want = math.NaN()
		case exponent == 31:
			want = math.Inf(1)
		}
		if i>>15 == 1 {
			want = -want
		}
		if float64(got) != want && !(math.IsNaN(float64(got)) && math.IsNaN(want)) || math.Signbit(float64(got)) != (i>>15 == 1) {
			t.Fatalf("%#04x: %v, want %v", i, got, want)
		}
	}
}

// TestHostile holds files against the reader that claim what is not there.
func TestHostile(t *testing.T) {
	row := le(t, int32(2), []float32{1, 2})
	good := "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}"
	body := make([]byte, 24)
	idx := func(kind, axes byte, sizes ...uint32) []byte {
		return slices.Concat([]byte{0, 0, kind, axes}, pack(t, binary.BigEndian, sizes))
	}
	for name, data := range map[string][]byte{
		"none.txt":          row,
		"empty.fvecs":       {},
		"short.fvecs":       row[:11],
		"long.fvecs":        append(slices.Clone(row), 0),
		"negative.fvecs":    le(t, int32(-1), []float32{1, 2}),
		"huge.fvecs":        le(t, int32(math.MaxInt32), []float32{1, 2}),
		"zero.fvecs":        le(t, int32(0), int32(0)),
		"other.fvecs":       append(slices.Clone(row), le(t, int32(1), []float32{1, 2})...),
		"other.fvecs.gz":    zipped(t, append(slices.Clone(row), le(t, int32(1), []float32{1, 2})...)),
		"cut.fvecs.gz":      zipped(t, slices.Concat(row, row[:5])),
		"nogzip.fvecs.gz":   row,
		"damaged.fvecs.gz":  zipped(t, row)[:20],
		"empty.npy":         {},
		"magic.npy":         []byte("\x93NUMPX\x01\x00\x00\x00"),
		"version.npy":       slices.Concat([]byte("\x93NUMPY\x09\x00"), le(t, uint16(len(good))), []byte(good), body),
		"header.npy":        []byte("\x93NUMPY\x02\x00\xff\xff\xff\xff{"),
		"short.npy":         npy(t, good, body[:23]),
		"long.npy":          npy(t, good, append(body, 0)),
		"more.npy.gz":       zipped(t, npy(t, good, append(body, make([]byte, 12)...))),
		"less.npy.gz":       zipped(t, npy(t, good, body[:12])),
		"fortran.npy":       npy(t, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3)}", body),
		"object.npy":        npy(t, "{'descr': '|O', 'fortran_order': False, 'shape': (2, 3)}", body),
		"complex.npy":       npy(t, "{'descr': '<c8', 'fortran_order': False, 'shape': (1, 3)}", body),
		"fields.npy":        npy(t, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3)}", body),
		"flat.npy":          npy(t, "{'descr': '<f4', 'fortran_order': False, 'shape': (6,)}", body),
		"deep.npy":          npy(t, "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3)}", body),
		"negative.npy":      npy(t, "{'descr': '<f4', 'fortran_order': False, 'shape': (-2, -3)}", body),
		"overflow.npy":      npy(t, "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}", body),
		"claims.npy.gz":     zipped(t, npy(t, "{'descr': '<f4', 'fortran_order': False, 'shape': (2000000000, 65536)}", body)),
		"norows.npy":        npy(t, "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3)}", nil),
		"nocols.npy":        npy(t, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 0)}", nil),
		"lacks.npy":         npy(t, "{'descr': '<f4', 'shape': (2, 3)}", body),
		"twice.npy":         npy(t, "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}", body),
		"unknown.npy":       npy(t, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'x': 1}", body),
		"open.npy":          npy(t, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3", body),
		"nothing.npy":       npy(t, "{", body),
		"kind.idx":          append(idx(7, 2, 2, 3), make([]byte, 6)...),
		"axes.idx":          append(idx(8, 9, 2, 3), make([]byte, 6)...),
		"product.idx":       idx(8, 4, 1, 1<<16, 1<<16, 1<<16),
		"rows.idx.gz":       zipped(t, append(idx(8, 2, 1<<31-1, 65536), 1, 2, 3)),
		"short.idx":         append(idx(8, 2, 2, 3), make([]byte, 5)...),
		"cut-idx3-ubyte.gz": zipped(t, idx(8, 3, 2)),
	} {
		s, err := dataset.Read(file(t, name, data), dataset.ReadOptions{})
		if !errors.Is(err, dataset.ErrFormat) || s.Data != nil {
			t.Errorf("%s: %d vectors, %v", name, s.Len(), err)
		}
	}
	for _, o := range []dataset.ReadOptions{{Dim: -1}, {Dim: compat.MaxDimension + 1}, {Limit: -1}} {
		if _, err := dataset.Read(file(t, "a.fvecs", row), o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
	if _, err := dataset.Read(file(t, "a.f32", make([]byte, 10)), dataset.ReadOptions{Dim: 2}); !errors.Is(err, dataset.ErrFormat) {
		t.Errorf("ten bytes as rows of two floats: %v", err)
	}
	if _, err := dataset.Read(t.TempDir()+"/absent.npy", dataset.ReadOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an absent file: %v", err)
	}
}

// FuzzRead wants an error or vectors of one dimension, whatever is read.
func FuzzRead(f *testing.F) {
	names := []string{"a.f32", "a.fvecs", "a.bvecs", "a.npy", "a.idx", "a.fvecs.gz"}
	f.Add(uint8(1), []byte("\x01\x00\x00\x00abcd"))
	f.Add(uint8(3), []byte("\x93NUMPY\x01\x00\x39\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1)}abcd"))
	f.Add(uint8(4), []byte("\x00\x00\x08\x02\x00\x00\x00\x01\x00\x00\x00\x01a"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		name := names[int(which)%len(names)]
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		o := dataset.ReadOptions{}
		if name == "a.f32" {
			o.Dim = 2
		}
		s, err := dataset.Read(path, o)
		if (err == nil) != (s.Len() > 0) || err == nil && len(s.Data) != s.Len()*s.Dim {
			t.Errorf("%s: %d of %d, %v", name, s.Len(), s.Dim, err)
		}
	})
}

func TestNeighbours(t *testing.T) {
	ids := le(t, []int32{4, 0, 1, 2, 3, 4})
	framed := le(t, int32(3), []int32{4, 0, 1}, int32(3), []int32{2, 3, 4})
	for name, data := range map[string][]byte{
		"g.i32": ids, "g.ivecs": framed, "g.npy": npy(t, "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3)}", ids),
	} {
		path := file(t, name, data)
		n, err := dataset.ReadNeighbours(path, 2, 5)
		if err != nil || n.K != 3 || n.Len() != 2 || !slices.Equal(n.Row(1), []uint32{2, 3, 4}) {
			t.Errorf("%s: %v %v", name, n, err)
		}
		if _, err := dataset.ReadNeighbours(path, 2, 4); !errors.Is(err, dataset.ErrFormat) {
			t.Errorf("%s, of another set: %v", name, err)
		}
		if _, err := dataset.ReadNeighbours(path, 4, 5); !errors.Is(err, dataset.ErrFormat) {
			t.Errorf("%s, for more queries: %v", name, err)
		}
	}
	for name, data := range map[string][]byte{
		"negative.i32": le(t, int32(-1)), "empty.i32": nil, "float.npy": npy(t, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}", ids),
	} {
		if n, err := dataset.ReadNeighbours(file(t, name, data), 1, 5); !errors.Is(err, dataset.ErrFormat) {
			t.Errorf("%s: %v %v", name, n, err)
		}
	}
}

func TestWriteAndRead(t *testing.T) {
	base, queries, err := dataset.Clustered{N: 700, Queries: 3, Dim: 10, Seed: 5}.Make(1)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	n := dataset.Neighbours{K: 2, IDs: []uint32{1, 2, 3, 4, 5, 6}}
	if err := errors.Join(dataset.Write(dir+"/b.f32", base), dataset.WriteNeighbours(dir+"/n.i32", n)); err != nil {
		t.Fatal(err)
	}
	back, err := dataset.Read(dir+"/b.f32", dataset.ReadOptions{Dim: 10})
	if err != nil || !slices.Equal(back.Data, base.Data) {
		t.Errorf("vectors did not come back: %v", err)
	}
	if got, err := dataset.ReadNeighbours(dir+"/n.i32", queries.Len(), base.Len()); err != nil || !slices.Equal(got.IDs, n.IDs) {
		t.Errorf("neighbours did not come back: %v %v", got, err)
	}
}

// TestClustered: the same seed is the same set on any number of threads, and
// what it makes has length 1 and clusters.
func TestClustered(t *testing.T) {
	c := dataset.Clustered{N: 1200, Queries: 40, Dim: 32, Clusters: 4, Spread: 0.2, Seed: 9}
	base, queries, err := c.Make(1)
	if err != nil || base.Len() != 1200 || queries.Len() != 40 {
		t.Fatal(base.Len(), queries.Len(), err)
	}
	again, _, _ := c.Make(3)
	c.Seed++
	other, _, _ := c.Make(1)
	if !slices.Equal(base.Data, again.Data) || slices.Equal(base.Data, other.Data) {
		t.Error("the seed does not decide the set")
	}
	near := 0
	for i := range base.Len() {
		var norm, dot float64
		for j, x := range base.Row(i) {
			norm += float64(x) * float64(x)
			dot += float64(x) * float64(base.Row(0)[j])
		}
		if math.Abs(norm-1) > 1e-5 {
			t.Fatalf("row %d has a squared length of %v", i, norm)
		}
		if dot > 0.8 {
			near++
		}
	}
	if near < 150 || near > 600 {
		t.Errorf("%d of 1200 vectors are near the first; about a quarter should be", near)
	}
	for _, bad := range []dataset.Clustered{{Dim: 3}, {N: 1}, {N: 1, Dim: 1, Latent: -1}, {N: 1, Dim: 1, Clusters: -1}, {N: 1, Dim: 1, Spread: math.NaN()}, {N: -1, Dim: 1}} {
		if _, _, err := bad.Make(1); err == nil {
			t.Errorf("%+v is made", bad)
		}
	}
}

// TestNearest compares with a plain sort by scores in float64.
func TestNearest(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const n, queries, dim, k = 3000, 20, 12, 7
	for _, metric := range []compat.Metric{compat.MetricCosine, compat.MetricDot, compat.MetricL2} {
		space := indextest.NewSpace(t, "nearest", dim, metric)
		rows := indextest.Clustered(seed, n+queries, dim, 10, 0.5)
		copy(rows[dim:2*dim], rows[:dim]) // a tie: the lower row comes first
		oracle := indextest.NewOracle(metric)
		oracle.Put(indextest.Ordinals(0, n), rows[:n*dim])
		odd := func(query, row int) bool { return (query+row)%2 == 1 }
		for _, admit := range []func(int, int) bool{nil, odd} {
			got, err := dataset.Nearest(context.Background(), space.Stamp(t, rows[:n*dim]), space.Stamp(t, rows[n*dim:]),
				dataset.NearestOptions{Metric: metric, K: k, Threads: 3, Admit: admit, Report: func(float64) {}})
			if err != nil {
				t.Fatal(err)
			}
			for q := range queries {
				query := rows[(n+q)*dim : (n+q+1)*dim]
				var all []uint32
				for i := range uint32(n) {
					if admit == nil || admit(q, int(i)) {
						all = append(all, i)
					}
				}
				slices.SortStableFunc(all, func(a, b uint32) int {
					x, y := oracle.Score(query, a), oracle.Score(query, b)
					if metric != compat.MetricL2 {
						x, y = y, x
					}
					switch {
					case math.Abs(x-y) < 1e-7: // rounding of the prepared copies
						return 0
					case x < y:
						return -1
					}
					return 1
				})
				for j, id := range got.Row(q) {
					if math.Abs(oracle.Score(query, id)-oracle.Score(query, all[j])) > 1e-6 || admit != nil && !admit(q, int(id)) {
						t.Fatalf("%s, query %d: %v, want %v", metric, q, got.Row(q), all[:k])
					}
				}
			}
		}
	}
}

func TestNearestRefuses(t *testing.T) {
	space := indextest.NewSpace(t, "nearest", 2, compat.MetricL2)
	v := space.Stamp(t, []float32{1, 2, 3, 4})
	ctx, cancel := context.WithCancel(context.Background())
	if _, err := dataset.Nearest(ctx, v, v, dataset.NearestOptions{Metric: compat.MetricL2, K: 3}); err == nil {
		t.Error("three of two")
	}
	if _, err := dataset.Nearest(ctx, v, v, dataset.NearestOptions{Metric: compat.MetricL2, K: 1, Admit: func(q, r int) bool { return q == 0 }}); !errors.Is(err, dataset.ErrFew) {
		t.Errorf("nothing admitted: %v", err)
	}
	if _, err := dataset.Nearest(ctx, v, v, dataset.NearestOptions{Metric: "x", K: 1}); err == nil {
		t.Error("an unknown metric")
	}
	got, err := dataset.Nearest(ctx, v, v, dataset.NearestOptions{Metric: compat.MetricL2, K: 2})
	if err != nil || !slices.Equal(got.IDs, []uint32{0, 1, 1, 0}) {
		t.Errorf("%v %v", got, err)
	}
	cancel()
	if _, err := dataset.Nearest(ctx, v, v, dataset.NearestOptions{Metric: compat.MetricL2, K: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}
