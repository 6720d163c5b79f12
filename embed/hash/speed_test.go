package hash_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/embedtest"
)

// TestLinearTime encodes what tempts a segmenter to look far back or ahead.
// 256 KiB take some 10 ms; were the time quadratic, they would take minutes.
// The bound is wide, so that a busy machine does not fail the test.
func TestLinearTime(t *testing.T) {
	e := newEncoder(t, 0)
	for name, unit := range map[string]string{
		"one word": "ab", "marks": "\u0301", "marks kept": "\u064b", "dotted": "a.", "joined": "a\u200d", "commas": "1,",
		"points": ".", "quotes": "a'", "ideographs": "漢字", "hebrew": "א\"", "flags": "🇩", "emoji": "👨\u200d", "apostrophes": "'", "underscores": "_",
		"marks twice": "\u064b\u0650", "expanding": "\ufdfa",
	} {
		text := "x" + strings.Repeat(unit, (256<<10)/len(unit))
		start := time.Now()
		if _, err := e.Encode(context.Background(), embed.RoleDocument, []string{text}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		took := time.Since(start)
		if took > 10*time.Second {
			t.Errorf("%s: %d bytes take %v", name, len(text), took)
		}
		t.Logf("%-12s %8.1f MB/s", name, float64(len(text))/took.Seconds()/1e6)
	}
}

// TestAllocations encodes many texts of the same few words: what is allocated
// goes with the batch and its distinct words, not with the texts. (The pool
// forgets at times, most of all under the race detector.)
func TestAllocations(t *testing.T) {
	e := newEncoder(t, 0)
	texts := slices.Repeat([]string{embedtest.Texts()[0], embedtest.Texts()[2], embedtest.Texts()[10]}, 100)
	n := testing.AllocsPerRun(10, func() {
		if _, err := e.Encode(context.Background(), embed.RoleDocument, texts); err != nil {
			t.Fatal(err)
		}
	})
	if n > 100 {
		t.Errorf("%v allocations for a batch of 300 texts, want at most 100", n)
	}
}

func BenchmarkEncode(b *testing.B) {
	c := cranfield(b)
	bytes := 0
	for _, text := range c.Documents {
		bytes += len(text)
	}
	e := newEncoder(b, 0)
	b.SetBytes(int64(bytes))
	b.ReportAllocs()
	for b.Loop() {
		encode(b, e, embed.RoleDocument, c.Documents)
	}
	b.ReportMetric(float64(b.N*len(c.Documents))/b.Elapsed().Seconds(), "docs/s")
}
