package strictjson

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// value reads any document into what encoding/json would make of it.
func value(r *Reader) (any, error) {
	switch r.Kind() {
	case Null:
		_, err := r.Null()
		return nil, err
	case Bool:
		return r.Bool()
	case Number:
		text, err := r.number()
		return json.Number(text), err
	case String:
		return r.Str()
	case Array:
		out := []any{}
		err := r.Array(func(int) error {
			v, err := value(r)
			out = append(out, v)
			return err
		})
		return out, err
	case Object:
		out := map[string]any{}
		err := r.Object(func(key string) error {
			v, err := value(r)
			out[key] = v
			return err
		})
		return out, err
	}
	return nil, r.Skip()
}

func read(data []byte) (v any, err error) {
	err = Decode(data, func(r *Reader) error {
		v, err = value(r)
		return err
	})
	return v, err
}

func TestRefused(t *testing.T) {
	for doc, pointer := range map[string]string{
		``: "", ` `: "", `{`: "", `}`: "", `{"a":1}{}`: "", `{"a":1} x`: "", `nul`: "", `tru`: "", `True`: "",
		`{"a":1,"a":2}`: "/a", `{"a":1,"\u0061":2}`: "/a", `{"p":{"a":1,"a":1}}`: "/p/a",
		`[1,]`: "/1", `[,1]`: "/0", `{"a":1,}`: "", `{a:1}`: "", `{"a" 1}`: "/a", `[1 2]`: "",
		"\"\xff\"": "", `"\ud800"`: "", `"\ud800\u0041"`: "", `"\udc00"`: "", `"\x41"`: "", `"\u12g4"`: "", `"\u12`: "", "\"a\nb\"": "",
		`NaN`: "", `[Infinity]`: "/0", `[-]`: "/0", `[01]`: "/0", `[1.]`: "/0", `[.5]`: "/0", `[1e]`: "/0", `[+1]`: "/0", `[0x10]`: "",
		`{"a/b~c":[{"k":tru}]}`: "/a~1b~0c/0/k",
	} {
		_, err := read([]byte(doc))
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%q: want an *Error, got %v", doc, err)
		} else if e.Pointer != pointer {
			t.Errorf("%q: pointer %q, want %q (%v)", doc, e.Pointer, pointer, e)
		}
	}
}

func TestDepth(t *testing.T) {
	deep := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	if err := Check(deep(MaxDepth)); err != nil {
		t.Errorf("depth %d: %v", MaxDepth, err)
	}
	if err := Check(deep(MaxDepth + 2)); err == nil {
		t.Errorf("depth %d passed", MaxDepth+2)
	}
	if err := Check([]byte(strings.Repeat("[", 1<<20))); err == nil {
		t.Error("a megabyte of brackets passed")
	}
}

func TestManyKeys(t *testing.T) {
	var b strings.Builder
	b.WriteByte('{')
	for i := range 100 {
		b.WriteString(`"` + strings.Repeat("k", i+1) + `":0,`)
	}
	if err := Check([]byte(b.String() + `"z":1}`)); err != nil {
		t.Error(err)
	}
	if err := Check([]byte(b.String() + `"kkk":1}`)); err == nil {
		t.Error("a key that stands twice among a hundred passed")
	}
}

func TestNumbers(t *testing.T) {
	run := func(doc string, f func(r *Reader) error) error { return Decode([]byte(doc), f) }
	for doc, ok := range map[string]bool{
		"0": true, "18446744073709551615": true, "18446744073709551616": false, "-1": false, "1.0": false, "1e3": false, `"1"`: false, "null": false,
	} {
		if err := run(doc, func(r *Reader) error { _, err := r.Uint64(); return err }); (err == nil) != ok {
			t.Errorf("Uint64 %s: %v", doc, err)
		}
	}
	for doc, ok := range map[string]bool{"0": true, "10": true, "11": false, "-1": false, "9223372036854775808": false} {
		if err := run(doc, func(r *Reader) error { _, err := r.Int(0, 10); return err }); (err == nil) != ok {
			t.Errorf("Int %s: %v", doc, err)
		}
	}
	for doc, want := range map[string]float32{"1e-60": 0, "-0.5": -0.5, "3.4028234e38": math.MaxFloat32, "1E2": 100} {
		var got float32
		if err := run(doc, func(r *Reader) (err error) { got, err = r.Float32(); return err }); err != nil || got != want {
			t.Errorf("Float32 %s: %v %v", doc, got, err)
		}
	}
	if err := run("1e39", func(r *Reader) error { _, err := r.Float32(); return err }); err == nil {
		t.Error("1e39 passed for a float32")
	}
	if err := run("[1,2,3]", func(r *Reader) error { _, err := r.Floats(2); return err }); err == nil {
		t.Error("three numbers passed a limit of two")
	}
	if err := run("[1,null]", func(r *Reader) error { _, err := r.Floats(2); return err }); err == nil {
		t.Error("null passed for a number")
	}
}

// FuzzAgainstEncodingJSON: what is accepted here is what encoding/json reads,
// with the same value; what encoding/json refuses is refused here.
func FuzzAgainstEncodingJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2.5e-3,null,true,"x\u00e9\ud83d\ude00\n"]}`, `[]`, `{}`, `"\\\/"`, `-0`, ` [ 1 , { "b" : "" } ] `, `1e400`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := read(data)
		if err != nil {
			return
		}
		if !utf8.Valid(data) {
			t.Fatalf("invalid UTF-8 accepted: %q", data)
		}
		var want any
		d := json.NewDecoder(strings.NewReader(string(data)))
		d.UseNumber()
		if err := d.Decode(&want); err != nil {
			t.Fatalf("%q is accepted here, and refused by encoding/json: %v", data, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: read %#v, encoding/json reads %#v", data, got, want)
		}
	})
}
