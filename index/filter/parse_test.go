package filter

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

func TestParseRefuses(t *testing.T) {
	deep := strings.Repeat(`{"must":[`, MaxDepth) + `{"must":[]}` + strings.Repeat(`]}`, MaxDepth)
	abyss := strings.Repeat(`{"must":[`, 100000)
	many := `{"must":[` + strings.Repeat(`{"is_null":{"key":"a"}},`, MaxConditions) + `{"is_null":{"key":"a"}}]}`
	values := `{"must":{"has_id":[` + strings.Repeat("1,", MaxValues) + `1]}}`
	long := strings.Repeat("x", MaxString+1)
	for _, c := range []struct{ in, pointer, reason string }{
		{``, "", "ends too early"},
		{`null`, "", "want an object, got null"},
		{`[]`, "", "want an object, got an array"},
		{`{"must":`, "/must", "ends too early"},
		{`{"must":[]`, "", "ends too early"},
		{`{"must":[1,]}`, "/must/1", "not valid JSON"},
		{`{"must":[]} {}`, "", "something follows"},
		{`{"must":[]}x`, "", "something follows"},
		{"{\"must\":[{\"key\":\"\xff\"}]}", "", "UTF-8"},
		{`{"Must":[]}`, "/Must", "unknown key; allowed here: must, should, must_not, min_should"},
		{`{"must":[],"must":[]}`, "/must", "twice"},
		{`{"must":[{"key":"a","match":{"value":1,"value":2}}]}`, "/must/0/match/value", "twice"},
		{`{"must":[3]}`, "/must/0", "want a condition"},
		{`{"must":["a"]}`, "/must/0", "want a condition"},
		{`{"must":[{}]}`, "/must/0", "empty condition"},
		{`{"must":[{"geo":1}]}`, "/must/0/geo", "unknown condition"},
		{`{"must":[{"key":"a"}]}`, "/must/0", "without a test"},
		{`{"must":[{"key":"a","match":null}]}`, "/must/0", "without a test"},
		{`{"must":[{"key":1,"match":{"value":1}}]}`, "/must/0/key", "want a string"},
		{`{"must":[{"key":"","match":{"value":1}}]}`, "/must/0/key", "empty key"},
		{`{"must":[{"key":"a..b","match":{"value":1}}]}`, "/must/0/key", "empty key"},
		{`{"must":[{"key":"a[b]","match":{"value":1}}]}`, "/must/0/key", "number of an element"},
		{`{"must":[{"key":"a[-1]","match":{"value":1}}]}`, "/must/0/key", "number of an element"},
		{`{"must":[{"key":"a[99999999999]","match":{"value":1}}]}`, "/must/0/key", "number of an element"},
		{`{"must":[{"key":"a[","match":{"value":1}}]}`, "/must/0/key", "without"},
		{`{"must":[{"key":"a]","match":{"value":1}}]}`, "/must/0/key", "must be followed"},
		{`{"must":[{"key":"\"a","match":{"value":1}}]}`, "/must/0/key", "quoted key"},
		{`{"must":[{"key":"` + strings.Repeat("k", MaxPath+1) + `","match":{"value":1}}]}`, "/must/0/key", "at most 512"},
		{`{"must":[{"key":"a","match":{}}]}`, "/must/0/match", "exactly one"},
		{`{"must":[{"key":"a","match":{"value":1,"any":[1]}}]}`, "/must/0/match", "exactly one"},
		{`{"must":[{"key":"a","match":{"keyword":"x"}}]}`, "/must/0/match/keyword", "unknown key"},
		{`{"must":[{"key":"a","match":{"value":1.5}}]}`, "/must/0/match/value", "use range"},
		{`{"must":[{"key":"a","match":{"value":18446744073709551616}}]}`, "/must/0/match/value", "64 bits"},
		{`{"must":[{"key":"a","match":{"value":[1]}}]}`, "/must/0/match/value", "got an array"},
		{`{"must":[{"key":"a","match":{"value":null}}]}`, "/must/0/match/value", "got null"},
		{`{"must":[{"key":"a","match":{"any":"x"}}]}`, "/must/0/match/any", "want an array"},
		{`{"must":[{"key":"a","match":{"any":["x",{}]}}]}`, "/must/0/match/any/1", "got an object"},
		{`{"must":[{"key":"a","match":{"text":1}}]}`, "/must/0/match/text", "want a string"},
		{`{"must":[{"key":"a","match":{"text":"` + long + `"}}]}`, "/must/0/match/text", "at most 4096"},
		{`{"must":[{"key":"a","range":{}}]}`, "/must/0/range", "at least one"},
		{`{"must":[{"key":"a","range":{"gt":null}}]}`, "/must/0/range", "at least one"},
		{`{"must":[{"key":"a","range":{"gt":true}}]}`, "/must/0/range/gt", "want a number"},
		{`{"must":[{"key":"a","range":{"gt":1e999}}]}`, "/must/0/range/gt", "beyond"},
		{`{"must":[{"key":"a","range":{"gt":"soon"}}]}`, "/must/0/range/gt", "RFC 3339"},
		{`{"must":[{"key":"a","range":{"gt":1,"lt":"2024-01-01"}}]}`, "/must/0/range/gt", "RFC 3339"},
		{`{"must":[{"key":"a","values_count":{"gt":-1}}]}`, "/must/0/values_count/gt", "not negative"},
		{`{"must":[{"key":"a","values_count":{"gt":1.5}}]}`, "/must/0/values_count/gt", "not negative"},
		{`{"must":[{"key":"a","is_empty":1}]}`, "/must/0/is_empty", "true or false"},
		{`{"must":[{"is_empty":{"key":"a","x":1}}]}`, "/must/0/is_empty/x", "unknown key"},
		{`{"must":[{"is_empty":{}}]}`, "/must/0/is_empty", "want \"key\""},
		{`{"must":[{"is_null":"a"}]}`, "/must/0/is_null", "want an object"},
		{`{"must":[{"has_id":1}]}`, "/must/0/has_id", "want an array"},
		{`{"must":[{"has_id":[-1]}]}`, "/must/0/has_id/0", "no id"},
		{`{"must":[{"has_id":[1.5]}]}`, "/must/0/has_id/0", "no id"},
		{`{"must":[{"has_id":[null]}]}`, "/must/0/has_id/0", "want an id"},
		{`{"must":[{"has_id":[1],"key":"a"}]}`, "/must/0/has_id", "unknown key"},
		{`{"must":[{"nested":{"key":"a"}}]}`, "/must/0/nested", "filter"},
		{`{"must":[{"nested":{"key":"a","filter":{"must":[{"has_id":[1]}]}}}]}`, "/must/0/nested/filter/must/0", "move it out"},
		{`{"min_should":{"conditions":[]}}`, "/min_should", "both"},
		{`{"min_should":{"conditions":[],"min_count":-1}}`, "/min_should/min_count", "not negative"},
		{`{"must":[{"a/b~c":1}]}`, "/must/0/a~1b~0c", "unknown condition"},
		{deep, strings.Repeat("/must/0", MaxDepth), "16 deep"},
		{abyss, "", "16 deep"},
		{many, "/must/1024", "1024 conditions"},
		{values, "", "65536 values"},
	} {
		f, err := Parse([]byte(c.in))
		var e *Error
		if !errors.As(err, &e) || f != nil {
			t.Errorf("Parse(%.80s) = %v, %v; want an *Error", c.in, f, err)
			continue
		}
		if !strings.Contains(e.Reason, c.reason) || (c.pointer != "" && e.Pointer != c.pointer) {
			t.Errorf("Parse(%.80s): %q at %q; want %q at %q", c.in, e.Reason, e.Pointer, c.reason, c.pointer)
		}
	}
}

func TestParseAccepts(t *testing.T) {
	atLimit := strings.Repeat(`{"must":[`, MaxDepth-1) + `{"must":[{"key":"a[0][].b","nested":null,"match":{"value":1}}]}` + strings.Repeat(`]}`, MaxDepth-1)
	for _, in := range []string{
		`{}`, `{"must":null}`, `{"must":[],"should":[],"must_not":[],"min_should":null}`,
		`{"must":{"has_id":[]}}`,
		`{"must":[{"key":"a","match":{"any":[]}}]}`,
		`{"must":[{"key":"a","match":null,"range":{"gt":null,"gte":1e300,"lt":null}}]}`,
		`{"must":[{"key":"a","match":{"value":18446744073709551615}}]}`,
		`{"must":[{"key":"a","values_count":{"gt":18446744073709551615}}]}`,
		`{"min_should":{"conditions":{"has_id":[1]},"min_count":18446744073709551615}}`,
		strings.Replace(atLimit, `"nested":null,`, "", 1),
		" \n{ } ",
	} {
		if _, err := Parse([]byte(in)); err != nil {
			t.Errorf("Parse(%.80s): %v", in, err)
		}
	}
}

// A hostile filter costs no more than a fixed amount of memory: many values
// below long keys must not multiply.
func TestParseMemory(t *testing.T) {
	key := strings.Repeat("k", MaxString)
	in := strings.Repeat(`{"`+key+`":`, 40) + `[` + strings.Repeat("1,", MaxValues-50) + `1]` + strings.Repeat("}", 40)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := Parse([]byte(in)); err == nil {
		t.Fatal("accepted")
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20 {
		t.Errorf("%d bytes of text allocated %d bytes", len(in), grown)
	}
}

func TestEmpty(t *testing.T) {
	for in, want := range map[string]bool{
		`{}`: true, `{"should":[]}`: true, `{"min_should":{"conditions":[],"min_count":0}}`: true,
		`{"must":{"has_id":[]}}`: false, `{"min_should":{"conditions":[],"min_count":1}}`: false,
	} {
		f, err := Parse([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if f.Empty() != want {
			t.Errorf("Empty of %s: %v", in, f.Empty())
		}
		if got := f.Match(uint64(1), nil); got != want {
			t.Errorf("%s matches a document without payload: %v", in, got)
		}
	}
	var none *Filter
	if !none.Empty() || !none.Match("a", nil) {
		t.Error("a nil filter must match everything")
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"must":[{"key":"a.b[].c","match":{"any":["x",1,true]}}]}`,
		`{"should":{"key":"a","range":{"gte":1.5,"lt":9007199254740993}}}`,
		`{"must_not":[{"is_empty":{"key":"a"}},{"has_id":[1,"x"]}]}`,
		`{"min_should":{"conditions":[{"nested":{"key":"a","filter":{}}}],"min_count":1}}`,
		`{"must":[{"key":"\"a.b\"[3]","range":{"gt":"2024-01-01"},"values_count":{"lt":3}}]}`,
		`{"must":[`,
	} {
		f.Add([]byte(seed), []byte(`{"a":[{"b":[{"c":"x"}]},null,1,"2024-02-01T00:00:00Z"]}`))
	}
	f.Fuzz(func(t *testing.T, in, document []byte) {
		parsed, err := Parse(in)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Reason == "" {
				t.Fatalf("%v is no *Error with a reason", err)
			}
			return
		}
		if !json.Valid(in) {
			t.Fatalf("accepted what is not JSON: %q", in)
		}
		payload, err := decode(document)
		if err != nil {
			return
		}
		first := parsed.Match(uint64(1), payload)
		if second := parsed.Match(uint64(1), payload); first != second {
			t.Fatal("two answers to one question")
		}
		// The opposite filter gives the opposite answer, one level deeper.
		not, err := Parse(fmt.Appendf(nil, `{"must_not":[{"must":[%s]}]}`, in))
		var e *Error
		switch {
		case errors.As(err, &e): // at a limit, or an empty condition
		case not.Match(uint64(1), payload) == first:
			t.Fatalf("%s and its negation agree", in)
		}
	})
}
