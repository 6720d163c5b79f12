package postings_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vecino-db/vecino/index/filter"
	"github.com/vecino-db/vecino/index/postings"
)

type object = map[string]any

func pick[T any](rng *rand.Rand, list ...T) T { return list[rng.IntN(len(list))] }

// literal is a number as it is spelled.
type literal = json.Number

func scalar(rng *rand.Rand) any {
	return pick[any](rng, "x", "y", "x", "y", "x", "y", "x y", "Y z", "", true, false, literal("0"), literal("1"), literal("-1"), literal("1.0"), literal("1.5"),
		literal("9007199254740992"), literal("9007199254740993"), literal("18446744073709551615"), literal("1e30"), literal("1e999"), literal("-0.0"),
		"2024-01-01", "2024-01-01T00:00:00.0000001Z", "2024-01-01T00:00:00.0000002Z", "2024-01-01T01:00:00+01:00")
}

func value(rng *rand.Rand, depth int) any {
	switch n := rng.IntN(12); {
	case n < 6 || depth > 2:
		return scalar(rng)
	case n < 7:
		return nil
	case n < 10:
		list := make([]any, rng.IntN(4))
		for i := range list {
			list[i] = value(rng, depth+1)
		}
		return list
	}
	return payload(rng, depth+1)
}

func payload(rng *rand.Rand, depth int) object {
	o := object{}
	for _, name := range []string{"a", "b", "c"} {
		if rng.IntN(3) > 0 {
			o[name] = value(rng, depth)
		}
	}
	return o
}

var paths = []string{"a", "b", "c", "a[]", "b[].c", "a.b", `"c"[0]`, "c.a[]"}

func condition(rng *rand.Rand, depth int) object {
	key := pick(rng, paths...)
	bound := pick(rng, "gt", "gte", "lt", "lte")
	whole := func() any {
		for {
			switch v := scalar(rng).(type) {
			case literal:
				if v != "1.5" && v != "1e30" && v != "1e999" {
					return v
				}
			default:
				return v
			}
		}
	}
	switch rng.IntN(12) {
	case 0, 1:
		return object{"key": key, "match": object{"value": whole()}}
	case 2:
		return object{"key": key, "match": object{"any": []any{whole(), whole(), whole()}}}
	case 3:
		return object{"key": key, "match": object{"except": []any{whole(), whole()}[:rng.IntN(3)]}}
	case 4:
		return object{"key": key, "match": object{"text": pick(rng, "x", "Y", "y x", "z", "?", "2024")}}
	case 5:
		return object{"key": key, "range": object{bound: pick[any](rng, literal("0"), literal("1.5"), literal("9007199254740993"), literal("1e30"), literal("-1"))}}
	case 6:
		return object{"key": key, "range": object{bound: pick(rng, "2024-01-01", "2024-01-01T00:00:00.0000001Z", "2023-01-01")}}
	case 7:
		return object{"key": key, "values_count": object{bound: rng.IntN(4)}}
	case 8:
		return object{"key": key, pick(rng, "is_empty", "is_null"): rng.IntN(2) == 0}
	case 9:
		return object{"has_id": []any{rng.IntN(50), rng.IntN(50)}}
	case 10:
		return object{"nested": object{"key": key, "filter": object{"must": []any{object{"key": "a", "match": object{"value": whole()}}}}}}
	}
	if depth > 2 {
		return object{"key": key, "match": object{"value": whole()}}
	}
	return clauses(rng, depth+1)
}

func clauses(rng *rand.Rand, depth int) object {
	list := func() []any {
		out := make([]any, rng.IntN(4))
		for i := range out {
			out[i] = condition(rng, depth)
		}
		return out
	}
	f := object{"must": list()}
	for _, clause := range []string{"should", "must_not"} {
		if rng.IntN(3) == 0 {
			f[clause] = list()
		}
	}
	if rng.IntN(4) == 0 {
		f["min_should"] = object{"conditions": list(), "min_count": rng.IntN(4)}
	}
	return f
}

// documents is payloads by ordinal and the indexes over them.
type documents struct {
	payloads map[uint32]object
	indexes  map[string]*postings.Index
	paths    map[string]filter.Path
}

func (d *documents) change(ordinal uint32, new object, there bool) {
	for name, x := range d.indexes {
		if old, ok := d.payloads[ordinal]; ok {
			x.Remove(ordinal, d.paths[name].Summarize(x.Kind(), old))
		}
		if there {
			x.Add(ordinal, d.paths[name].Summarize(x.Kind(), new))
		}
	}
	delete(d.payloads, ordinal)
	if there {
		d.payloads[ordinal] = new
	}
}

func (d *documents) evaluator(all *roaring.Bitmap) postings.Evaluator {
	return postings.Evaluator{
		All:  all,
		Find: func(path string) *postings.Index { return d.indexes[path] },
		IDs: func(ids []any) (*roaring.Bitmap, bool) {
			b := roaring.New()
			for _, id := range ids {
				if n := uint32(id.(uint64)); all.Contains(n) {
					b.Add(n)
				}
			}
			return b, true
		},
	}
}

// Every filter over every kind of index bounds what filter.Match says, after
// any additions and removals.
func TestBoundsHoldWhatMatches(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	kinds := []filter.Kind{filter.KindKeyword, filter.KindText, filter.KindBool, filter.KindNumber, filter.KindTime}
	exact, all := 0, 0
	for range 40 {
		d := documents{payloads: map[uint32]object{}, indexes: map[string]*postings.Index{}, paths: map[string]filter.Path{}}
		for _, text := range paths {
			if rng.IntN(4) == 0 {
				continue // this path has none
			}
			p, err := filter.ParsePath(text)
			if err != nil {
				t.Fatal(err)
			}
			d.paths[p.String()], d.indexes[p.String()] = p, postings.New(pick(rng, kinds...))
		}
		for range 200 {
			d.change(uint32(rng.IntN(120)), payload(rng, 0), rng.IntN(4) > 0)
		}
		there := roaring.New()
		for o := range d.payloads {
			there.Add(o)
		}
		for _, x := range d.indexes {
			if !x.All().Equals(there) {
				t.Fatal("All is not what was added")
			}
		}
		for range 60 {
			text, err := json.Marshal(clauses(rng, 0))
			if err != nil {
				t.Fatal(err)
			}
			f, err := filter.Parse(text)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			s, _ := d.evaluator(there).Evaluate(f.Tree())
			all++
			if s.Sure.Equals(s.Possible) {
				exact++
			}
			for o, p := range d.payloads {
				want := f.Match(uint64(o), p)
				if want && !s.Possible.Contains(o) || !want && s.Sure.Contains(o) {
					shown, _ := json.Marshal(p)
					t.Fatalf("%s on %s: matches %t, sure %t, possible %t", text, shown, want, s.Sure.Contains(o), s.Possible.Contains(o))
				}
			}
			if !roaring.AndNot(s.Possible, there).IsEmpty() {
				t.Fatal("documents that are not there are possible")
			}
		}
	}
	t.Logf("%d of %d filters were answered exactly", exact, all)
}

// Where payloads are of the index's kind nothing is left to look up.
func TestExactOnValuesOfTheKind(t *testing.T) {
	d := documents{payloads: map[uint32]object{}, indexes: map[string]*postings.Index{}, paths: map[string]filter.Path{}}
	for name, kind := range map[string]filter.Kind{"colour": filter.KindKeyword, "n": filter.KindNumber, "at": filter.KindTime, "flag": filter.KindBool, "text": filter.KindText, "rows[].x": filter.KindNumber} {
		p, err := filter.ParsePath(name)
		if err != nil {
			t.Fatal(err)
		}
		d.paths[name], d.indexes[name] = p, postings.New(kind)
	}
	there := roaring.New()
	for i := range uint32(6000) {
		text, err := json.Marshal(object{
			"colour": []string{"red", "green", "blue"}[i%3], "n": i % 5000, "at": []string{"2024-01-01", "2025-01-01"}[i%2], "flag": i%7 == 0,
			"text": []string{"the red fox", "a lazy dog"}[i%2], "rows": []object{{"x": i}, {"x": i * 2}},
		})
		if err != nil {
			t.Fatal(err)
		}
		d.change(i, decode(t, text), true)
		there.Add(i)
	}
	for _, text := range []string{
		`{"must":{"key":"colour","match":{"value":"red"}}}`,
		`{"must":{"key":"colour","match":{"any":["red","blue","none"]}}}`,
		`{"must":{"key":"colour","match":{"except":["red"]}}}`,
		`{"must_not":{"key":"colour","match":{"value":"red"}}}`,
		`{"must":{"key":"n","range":{"gte":100,"lt":4100.5}}}`,
		`{"must":{"key":"n","range":{"gt":4990}}}`,
		`{"must":{"key":"n","match":{"any":[5,6,4999,7000]}}}`,
		`{"must":{"key":"n","match":{"except":[5,6,4999]}}}`,
		`{"must":{"key":"at","range":{"gte":"2024-06-01"}}}`,
		`{"must":{"key":"flag","match":{"value":true}}}`,
		`{"must":{"key":"text","match":{"text":"FOX red"}}}`,
		`{"must":{"key":"rows[].x","range":{"gt":10000}}}`,
		`{"must":{"key":"n","is_empty":false}}`,
		`{"must":{"is_null":{"key":"n"}}}`,
		`{"must":{"key":"rows[].x","values_count":{"gte":1}}}`,
		`{"min_should":{"conditions":[{"key":"colour","match":{"value":"red"}},{"key":"flag","match":{"value":true}},{"key":"n","range":{"lt":9}}],"min_count":2}}`,
	} {
		f, err := filter.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		s, known := d.evaluator(there).Evaluate(f.Tree())
		if !known || !s.Exact() {
			t.Errorf("%s: known %t, exact %t", text, known, s.Exact())
		}
		want := roaring.New()
		for o, p := range d.payloads {
			if f.Match(uint64(o), p) {
				want.Add(o)
			}
		}
		if !s.Sure.Equals(want) {
			t.Errorf("%s: %d documents, want %d", text, s.Sure.GetCardinality(), want.GetCardinality())
		}
	}
	for o := range uint32(6000) { // blocks shrink and go, too
		d.change(o, nil, false)
	}
	for name, x := range d.indexes {
		if s, _ := d.evaluator(there).Evaluate(filter.Node{Op: filter.OpLeaf, Leaf: filter.Leaf{Path: name, Test: filter.LeafEmpty, Want: false}}); !s.Possible.IsEmpty() || x.Points() != 0 {
			t.Errorf("%s: %d documents are left of none", name, s.Possible.GetCardinality())
		}
	}
}

func decode(t *testing.T, text []byte) object {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var o object
	if err := d.Decode(&o); err != nil {
		t.Fatal(err)
	}
	return o
}

// Words that stand in different strings of an array are no match, and the index
// can't tell them from those that are.
func TestWordsInSeveralStrings(t *testing.T) {
	p, err := filter.ParsePath("a")
	if err != nil {
		t.Fatal(err)
	}
	x := postings.New(filter.KindText)
	for i, text := range []string{`{"a":"x y"}`, `{"a":["x","y"]}`, `{"a":["x y","z"]}`, `{"a":"x"}`} {
		x.Add(uint32(i), p.Summarize(filter.KindText, decode(t, []byte(text))))
	}
	f, err := filter.Parse([]byte(`{"must":{"key":"a","match":{"text":"y x"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	s, _ := postings.Evaluator{All: x.All(), Find: func(string) *postings.Index { return x }}.Evaluate(f.Tree())
	if !s.Sure.Equals(roaring.BitmapOf(0)) || !s.Possible.Equals(roaring.BitmapOf(0, 1, 2)) {
		t.Errorf("sure %v, possible %v", s.Sure, s.Possible)
	}
}
