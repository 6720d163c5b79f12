package store

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestIDJSON(t *testing.T) {
	for text, want := range map[string]ID{
		`0`:                                      NumID(0),
		` 18446744073709551615 `:                 NumID(1<<64 - 1),
		`"7"`:                                    {str: "7"},
		`"\u00e9"`:                               {str: "é"},
		`"A0B1C2D3-0000-4000-8000-00000000000F"`: {str: "a0b1c2d3-0000-4000-8000-00000000000f"},
		`"A0B1C2D3x0000-4000-8000-00000000000F"`: {str: "A0B1C2D3x0000-4000-8000-00000000000F"},
	} {
		var got ID
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s reads as %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		`-1`, `1.0`, `1e3`, `18446744073709551616`, `null`, `true`, `[]`, `{}`, `""`,
		"\"a\xff\"", `"` + strings.Repeat("x", MaxIDBytes+1) + `"`,
	} {
		var got ID
		if err := json.Unmarshal([]byte(text), &got); !errors.Is(err, ErrID) {
			t.Errorf("%.40q reads as %v, %v; want ErrID", text, got, err)
		}
	}
	for text, want := range map[string]ID{"7": NumID(7), "07": {str: "07"}, "-7": {str: "-7"}, "18446744073709551616": {str: "18446744073709551616"}} {
		if got, err := ParseID(text); err != nil || got != want {
			t.Errorf("ParseID(%q) is %v, %v; want %v", text, got, err, want)
		}
	}
}

// Ids come back from keys and JSON as they were, and keys sort as ids do.
func TestIDRoundTrip(t *testing.T) {
	id := rapid.Custom(func(t *rapid.T) ID {
		if rapid.Bool().Draw(t, "number") {
			return NumID(rapid.Uint64().Draw(t, "n"))
		}
		id, err := StringID(rapid.StringN(1, 20, MaxIDBytes).Draw(t, "s"))
		if err != nil {
			t.Fatal(err)
		}
		return id
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := id.Draw(t, "a"), id.Draw(t, "b")
		decoded, err := decodeID(appendID(nil, a))
		if err != nil || decoded != a {
			t.Fatalf("key of %v reads as %v, %v", a, decoded, err)
		}
		text, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &decoded); err != nil || decoded != a {
			t.Fatalf("%s reads as %v, %v; want %v", text, decoded, err, a)
		}
		if order := strings.Compare(string(appendID(nil, a)), string(appendID(nil, b))); order != a.Compare(b) {
			t.Fatalf("keys of %v and %v compare as %d, ids as %d", a, b, order, a.Compare(b))
		}
	})
}

// Records of any bytes are refused or read; none panics.
func TestDecodersTakeAnyBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		record := rapid.SliceOf(rapid.Byte()).Draw(t, "record")
		if len(record) > 0 && rapid.Bool().Draw(t, "version") {
			record[0] = 1
		}
		_, _, _ = decodeDocument(ID{}, record)
		_, _ = decodeState(record)
		_, _ = decodeLog(record)
		_, _ = decodeCheckpoint(record)
		_, _ = decodeGeneration(record)
		_, _ = decodeFormat(record)
		_, _ = decodeMarks(record)
		_, _ = decodeID(record)
		_, _ = appendVector(nil, record, 2)

		d := Document{ID: NumID(1), HasText: true, Text: rapid.String().Draw(t, "text"), Payload: []byte(`{"a":1}`)}
		whole := encodeDocument(&d)
		back, _, err := decodeDocument(d.ID, whole)
		if err != nil || back.Text != d.Text || string(back.Payload) != string(d.Payload) {
			t.Fatalf("%+v reads as %+v, %v", d, back, err)
		}
		cut := rapid.IntRange(0, headLength+len(d.Text)).Draw(t, "cut")
		if _, _, err := decodeDocument(d.ID, whole[:cut]); !errors.Is(err, errRecord) {
			t.Fatalf("a record cut to %d of %d bytes reads without an error", cut, len(whole))
		}
	})
}
