package bert

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vecino-db/vecino/embed"
)

// TestAside: an encoding beside others pauses again and again, and gives the same
// vectors, bit for bit.
func TestAside(t *testing.T) {
	e := open(t, tiny("bert").writeIn(t), Options{})
	defer e.Close()
	texts := make([]string, 24)
	for i := range texts {
		texts[i] = strings.Repeat(fmt.Sprintf("a%d b c ", i), 1+i)
	}
	want, err := e.Encode(t.Context(), embed.RoleDocument, texts)
	if err != nil {
		t.Fatal(err)
	}
	var pauses atomic.Int64
	got, err := e.Encode(embed.Aside(t.Context(), func() { pauses.Add(1) }), embed.RoleDocument, texts)
	if err != nil {
		t.Fatal(err)
	}
	tokens := 0
	for _, n := range got.Tokens {
		tokens += n
	}
	if least := int64(tokens / pieceRows); pauses.Load() < least || least < 3 {
		t.Errorf("%d pauses for %d tokens", pauses.Load(), tokens)
	}
	for i := range texts {
		for j, x := range got.Vectors.Row(i) {
			if x != want.Vectors.Row(i)[j] {
				t.Fatalf("component %d of text %d is %g, and %g not beside others", j, i, x, want.Vectors.Row(i)[j])
			}
		}
	}
}
