package filter

import (
	"bytes"
	"encoding/json"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"
)

func decode(text []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var payload map[string]any
	err := d.Decode(&payload)
	return payload, err
}

const document = `{
	"colour": "red", "price": 499.90, "amount": 10, "big": 9007199254740993, "huge": 18446744073709551615,
	"negative": -9223372036854775808, "one": 1.0, "vast": 1e30, "beyond": 1e999,
	"tags": ["Alpha", "beta"], "mixed": ["x", 3, null, true, {"a": 1}], "flag": false,
	"empty": [], "nothing": null, "nulls": [null], "rows": [[1, 2], [3]], "object": {}, "": "no name",
	"at": "2023-02-08T10:49:00Z", "zoned": "2023-02-08T11:49:00.5+01:00", "day": "2023-02-08", "word": "soon",
	"text": "The Café's gardens, re-planted in 1998: 東京 too.",
	"country": {"name": "Germany", "cities": [
		{"name": "Berlin", "population": 3.7, "sights": ["Gate", "Tower"]},
		{"name": "Munich", "population": 1.5, "sights": []},
		{"name": "Ghost"}]},
	"a.b": {"c[d]": "dotted"}, "a": {"b": "plain"},
	"diet": [{"food": "leaves", "likes": false}, {"food": "meat", "likes": true}]
}`

func TestMatch(t *testing.T) {
	payload, err := decode([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		condition string
		want      bool
	}{
		// match value: the type counts, whole strings count
		{`{"key":"colour","match":{"value":"red"}}`, true},
		{`{"key":"colour","match":{"value":"Red"}}`, false},
		{`{"key":"colour","match":{"value":"re"}}`, false},
		{`{"key":"amount","match":{"value":10}}`, true},
		{`{"key":"amount","match":{"value":"10"}}`, false},
		{`{"key":"amount","match":{"value":1e1}}`, true},
		{`{"key":"one","match":{"value":1}}`, true},
		{`{"key":"one","match":{"value":true}}`, false},
		{`{"key":"flag","match":{"value":false}}`, true},
		{`{"key":"flag","match":{"value":true}}`, false},
		{`{"key":"flag","match":{"value":0}}`, false},
		{`{"key":"missing","match":{"value":"red"}}`, false},
		{`{"key":"nothing","match":{"value":"red"}}`, false},
		{`{"key":"object","match":{"value":"red"}}`, false},
		{`{"key":"\"\"","match":{"value":"no name"}}`, true},
		// integers beyond 2^53
		{`{"key":"big","match":{"value":9007199254740993}}`, true},
		{`{"key":"big","match":{"value":9007199254740992}}`, false},
		{`{"key":"big","range":{"gt":9007199254740992}}`, true},
		{`{"key":"big","range":{"gt":9007199254740992.0}}`, true},
		{`{"key":"big","range":{"lt":9007199254740994,"gt":9007199254740992}}`, true},
		{`{"key":"huge","match":{"value":18446744073709551615}}`, true},
		{`{"key":"huge","match":{"value":18446744073709551614}}`, false},
		{`{"key":"huge","range":{"lt":1.8446744073709552e19}}`, true},
		{`{"key":"negative","match":{"value":-9223372036854775808}}`, true},
		{`{"key":"negative","match":{"value":-9223372036854775807}}`, false},
		{`{"key":"negative","range":{"lt":-9223372036854775807}}`, true},
		// arrays: any element
		{`{"key":"tags","match":{"value":"beta"}}`, true},
		{`{"key":"tags[]","match":{"value":"beta"}}`, true},
		{`{"key":"tags[1]","match":{"value":"beta"}}`, true},
		{`{"key":"tags[0]","match":{"value":"beta"}}`, false},
		{`{"key":"tags[2]","match":{"value":"beta"}}`, false},
		{`{"key":"tags","match":{"value":"alpha"}}`, false},
		{`{"key":"mixed","match":{"value":3}}`, true},
		{`{"key":"mixed","match":{"value":true}}`, true},
		{`{"key":"rows","match":{"value":3}}`, false},
		{`{"key":"rows[]","match":{"value":3}}`, true},
		{`{"key":"rows[][]","match":{"value":3}}`, true},
		{`{"key":"rows[][1]","match":{"value":2}}`, true},
		{`{"key":"colour[]","match":{"value":"red"}}`, false},
		// any, except
		{`{"key":"colour","match":{"any":["black","red"]}}`, true},
		{`{"key":"colour","match":{"any":["black"]}}`, false},
		{`{"key":"colour","match":{"any":[]}}`, false},
		{`{"key":"amount","match":{"any":["x",10]}}`, true},
		{`{"key":"colour","match":{"except":["black"]}}`, true},
		{`{"key":"colour","match":{"except":["red"]}}`, false},
		{`{"key":"colour","match":{"except":[]}}`, true},
		{`{"key":"colour","match":{"except":[1]}}`, true},
		{`{"key":"tags","match":{"except":["beta"]}}`, true},
		{`{"key":"tags","match":{"except":["beta","Alpha"]}}`, false},
		{`{"key":"missing","match":{"except":["red"]}}`, false},
		{`{"key":"nothing","match":{"except":["red"]}}`, false},
		{`{"key":"object","match":{"except":["red"]}}`, true},
		// text
		{`{"key":"text","match":{"text":"gardens"}}`, true},
		{`{"key":"text","match":{"text":"GARDENS replanted"}}`, false},
		{`{"key":"text","match":{"text":"1998 the"}}`, true},
		{`{"key":"text","match":{"text":"garden"}}`, false},
		{`{"key":"text","match":{"text":"CAFE\u0301's"}}`, true},
		{`{"key":"text","match":{"text":"京"}}`, true},
		{`{"key":"text","match":{"text":"京都"}}`, false},
		{`{"key":"text","match":{"text":""}}`, false},
		{`{"key":"text","match":{"text":"?!"}}`, false},
		{`{"key":"text","match":{"text":"gardens gardens, gardens!"}}`, true},
		{`{"key":"tags","match":{"text":"ALPHA"}}`, true},
		{`{"key":"tags","match":{"text":"alpha beta"}}`, false},
		{`{"key":"amount","match":{"text":"10"}}`, false},
		// range
		{`{"key":"price","range":{"gte":499.9,"lte":499.9}}`, true},
		{`{"key":"price","range":{"gt":499.9}}`, false},
		{`{"key":"price","range":{"lt":499.9}}`, false},
		{`{"key":"amount","range":{"gt":9.5,"lt":10.5}}`, true},
		{`{"key":"amount","range":{"gt":10}}`, false},
		{`{"key":"vast","range":{"gt":18446744073709551615}}`, true},
		{`{"key":"beyond","range":{"gt":1e308}}`, true},
		{`{"key":"colour","range":{"gt":0}}`, false},
		{`{"key":"mixed","range":{"gte":3}}`, true},
		{`{"key":"country.cities[].population","range":{"lt":2}}`, true},
		{`{"key":"country.cities[].population","range":{"gt":4}}`, false},
		// times
		{`{"key":"at","range":{"gte":"2023-02-08T10:49:00Z","lte":"2023-02-08T10:49:00Z"}}`, true},
		{`{"key":"at","range":{"gt":"2023-02-08T10:49:00Z"}}`, false},
		{`{"key":"at","range":{"lt":"2023-02-08T10:49:00-01:00"}}`, true},
		{`{"key":"zoned","range":{"gt":"2023-02-08T10:49","lt":"2023-02-08T10:49:01"}}`, true},
		{`{"key":"day","range":{"gte":"2023-02-08","lt":"2023-02-09"}}`, true},
		{`{"key":"word","range":{"gte":"2023-02-08"}}`, false},
		{`{"key":"amount","range":{"gte":"2023-02-08"}}`, false},
		{`{"key":"at","range":{"gte":0}}`, false},
		// values_count
		{`{"key":"tags","values_count":{"gte":2,"lte":2}}`, true},
		{`{"key":"colour","values_count":{"gte":1,"lt":2}}`, true},
		{`{"key":"empty","values_count":{"lt":1}}`, true},
		{`{"key":"nothing","values_count":{"lt":1}}`, true},
		{`{"key":"missing","values_count":{"lt":1}}`, true},
		{`{"key":"missing","values_count":{"gte":1}}`, false},
		{`{"key":"country.cities[].sights","values_count":{"gt":1}}`, true},
		{`{"key":"country.cities[].sights","values_count":{"gt":2}}`, false},
		// is_empty, is_null, in both spellings
		{`{"is_empty":{"key":"missing"}}`, true},
		{`{"is_empty":{"key":"nothing"}}`, true},
		{`{"is_empty":{"key":"empty"}}`, true},
		{`{"is_empty":{"key":"nulls"}}`, false},
		{`{"is_empty":{"key":"colour"}}`, false},
		{`{"is_empty":{"key":"flag"}}`, false},
		{`{"is_empty":{"key":"country.cities[].mayor"}}`, true},
		{`{"key":"missing","is_empty":true}`, true},
		{`{"key":"missing","is_empty":false}`, false},
		{`{"key":"colour","is_empty":false}`, true},
		{`{"is_null":{"key":"nothing"}}`, true},
		{`{"is_null":{"key":"missing"}}`, false},
		{`{"is_null":{"key":"nulls"}}`, false},
		{`{"is_null":{"key":"nulls[]"}}`, true},
		{`{"is_null":{"key":"empty"}}`, false},
		{`{"key":"missing","is_null":false}`, true},
		// paths
		{`{"key":"country.name","match":{"value":"Germany"}}`, true},
		{`{"key":"country.cities.name","match":{"value":"Berlin"}}`, false},
		{`{"key":"country.cities[].name","match":{"value":"Ghost"}}`, true},
		{`{"key":"country.cities[0].sights[]","match":{"value":"Tower"}}`, true},
		{`{"key":"country.cities[1].sights[]","match":{"value":"Tower"}}`, false},
		{`{"key":"a.b","match":{"value":"plain"}}`, true},
		{`{"key":"\"a.b\".\"c[d]\"","match":{"value":"dotted"}}`, true},
		{`{"key":"colour.name","match":{"value":"red"}}`, false},
		// has_id; the document's is 36893488147419103 (beyond 2^53)
		{`{"has_id":[36893488147419103]}`, true},
		{`{"has_id":[36893488147419104]}`, false},
		{`{"has_id":["36893488147419103"]}`, false},
		{`{"has_id":[]}`, false},
		// nested: one element meets all; plain conditions may be met apart
		{`{"must":[{"key":"diet[].food","match":{"value":"meat"}},{"key":"diet[].likes","match":{"value":false}}]}`, true},
		{`{"nested":{"key":"diet","filter":{"must":[{"key":"food","match":{"value":"meat"}},{"key":"likes","match":{"value":false}}]}}}`, false},
		{`{"nested":{"key":"diet","filter":{"must":[{"key":"food","match":{"value":"meat"}},{"key":"likes","match":{"value":true}}]}}}`, true},
		{`{"nested":{"key":"diet[]","filter":{"must_not":[{"key":"likes","match":{"value":true}}]}}}`, true},
		{`{"nested":{"key":"country","filter":{"must":[{"nested":{"key":"cities","filter":{"must":[{"key":"name","match":{"value":"Munich"}},{"key":"population","range":{"lt":2}}]}}}]}}}`, true},
		{`{"nested":{"key":"colour","filter":{}}}`, false},
		// clauses
		{`{"should":[{"key":"colour","match":{"value":"blue"}},{"key":"amount","match":{"value":10}}]}`, true},
		{`{"should":[{"key":"colour","match":{"value":"blue"}}]}`, false},
		{`{"must":[{"key":"colour","match":{"value":"red"}}],"should":[{"key":"amount","match":{"value":11}}]}`, false},
		{`{"must_not":[{"key":"colour","match":{"value":"blue"}}]}`, true},
		{`{"must_not":{"key":"colour","match":{"value":"red"}}}`, false},
		{`{"min_should":{"conditions":[{"key":"colour","match":{"value":"red"}},{"key":"amount","match":{"value":10}},{"key":"flag","match":{"value":true}}],"min_count":2}}`, true},
		{`{"min_should":{"conditions":[{"key":"colour","match":{"value":"red"}},{"key":"amount","match":{"value":10}},{"key":"flag","match":{"value":true}}],"min_count":3}}`, false},
		{`{"min_should":{"conditions":[{"key":"colour","match":{"value":"red"}}],"min_count":18446744073709551615}}`, false},
		// several tests in one condition
		{`{"key":"amount","match":{"value":10},"range":{"gt":9}}`, true},
		{`{"key":"amount","match":{"value":10},"range":{"gt":10}}`, false},
	} {
		f, err := Parse([]byte(`{"must":[` + c.condition + `]}`))
		if err != nil {
			t.Errorf("%s: %v", c.condition, err)
			continue
		}
		if got := f.Match(uint64(36893488147419103), payload); got != c.want {
			t.Errorf("%s: %v, want %v", c.condition, got, c.want)
		}
	}
}

func TestHasIDStrings(t *testing.T) {
	f, err := Parse([]byte(`{"must":{"has_id":["a","5F0C1B5E-9A7B-4B8E-8F57-0123456789AB"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{
		"a": true, "A": false, "b": false,
		"5f0c1b5e-9a7b-4b8e-8f57-0123456789ab": true,
		"5f0c1b5e-9a7b-4b8e-8f57-0123456789ac": false,
	} {
		if got := f.Match(id, nil); got != want {
			t.Errorf("%s: %v", id, got)
		}
	}
}

// TestNumberOrder holds compare against exact rational arithmetic.
func TestNumberOrder(t *testing.T) {
	literals := []string{
		"0", "-0", "0.0", "1", "1.0", "10e-1", "-1", "0.5", "-0.5", "1.5", "-1.5",
		"9007199254740991", "9007199254740992", "9007199254740993", "9007199254740992.0", "9.007199254740994e15",
		"9223372036854775807", "9223372036854775808", "9223372036854775809", "-9223372036854775808", "-9223372036854775807",
		"18446744073709551615", "18446744073709551614", "1.8446744073709552e19", "-1.8446744073709552e19",
		"-9223372036854775808.0", "-9223372036854777856", "1e300", "-1e300", "5e-324", "-5e-324", "4503599627370496.5", "4503599627370496", "4503599627370497",
	}
	exact := func(s string) *big.Rat {
		// What is not written as a whole number of 64 bits is its nearest float64.
		if i, ok := new(big.Int).SetString(s, 10); ok && (i.IsInt64() || i.IsUint64()) {
			return new(big.Rat).SetInt(i)
		}
		f, _, err := big.ParseFloat(s, 10, 53, big.ToNearestEven)
		if err != nil {
			t.Fatal(err)
		}
		nearest, _ := f.Float64()
		return new(big.Rat).SetFloat64(nearest)
	}
	for _, a := range literals {
		for _, b := range literals {
			x, ok := parseNumber(a)
			y, ok2 := parseNumber(b)
			if !ok || !ok2 {
				t.Fatalf("%s, %s are no numbers", a, b)
			}
			want := exact(a).Cmp(exact(b))
			if got := x.compare(y); got != want {
				t.Errorf("compare(%s, %s) = %d, want %d", a, b, got, want)
			}
			if (x == y) != (want == 0) {
				t.Errorf("%s == %s is %v", a, b, x == y)
			}
		}
	}
}

// TestAgainstNaive compares random filters over random payloads with an
// evaluator that was written apart from this package's code, on the decoded
// JSON of the filter itself.
func TestAgainstNaive(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	matched := 0
	const rounds = 20000
	for range rounds {
		filter := randomFilter(rng, 0)
		payload := randomPayload(rng)
		text, err := json.Marshal(filter)
		if err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(payload)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		decoded, err := decode(body)
		if err != nil {
			t.Fatal(err)
		}
		id := uint64(rng.IntN(4))
		want := naiveFilter(filter, id, payload)
		if got := f.Match(id, decoded); got != want {
			t.Fatalf("seed %d: %s on id %d, %s: %v, want %v", seed, text, id, body, got, want)
		}
		if want {
			matched++
		}
	}
	if matched < rounds/10 || matched > rounds*9/10 {
		t.Errorf("%d of %d matched: the comparison says little", matched, rounds)
	}
}
