package bridge

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/compat"
)

// sealed is a file of its own making with a checksum that is right.
func sealed(head string, numbers int) []byte {
	data := append([]byte(magic), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(data[len(magic):], uint32(len(head)))
	data = append(append(data, head...), make([]byte, 4*numbers)...)
	sum := sha256.Sum256(data)
	return append(data, sum[:]...)
}

// TestForeignBytes: a right checksum makes no bridge.
func TestForeignBytes(t *testing.T) {
	one, two := compat.Fingerprint{1}.String(), compat.Fingerprint{2}.String()
	head := func(from, to string, p, q int) string {
		return fmt.Sprintf(`{"from":%q,"to":%q,"from_dimension":%d,"to_dimension":%d}`, from, to, p, q)
	}
	if err := new(Bridge).UnmarshalBinary(sealed(head(one, two, 3, 2), 8)); err != nil {
		t.Fatalf("a sound one: %v", err)
	}
	for name, data := range map[string][]byte{
		"no header":           sealed("", 8),
		"no JSON":             sealed("{", 8),
		"one space":           sealed(head(one, one, 3, 2), 8),
		"the zero space":      sealed(head(strings.Repeat("0", 64), two, 3, 2), 8),
		"no dimension":        sealed(head(one, two, 0, 2), 2),
		"a negative one":      sealed(head(one, two, -1, 2), 0),
		"a huge one":          sealed(head(one, two, 1<<40, 1<<40), 8),
		"an overflowing one":  sealed(head(one, two, 1<<62, 4), 8),
		"a number too few":    sealed(head(one, two, 3, 2), 7),
		"a number too many":   sealed(head(one, two, 3, 2), 9),
		"a huge header":       sealed(strings.Repeat(" ", maxHeader+1), 8),
		"a short fingerprint": sealed(head("aa", two, 3, 2), 8),
	} {
		if err := new(Bridge).UnmarshalBinary(data); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	long := sealed("{}", 8)
	binary.LittleEndian.PutUint32(long[len(magic):], 1<<31)
	sum := sha256.Sum256(long[:len(long)-sha256.Size])
	copy(long[len(long)-sha256.Size:], sum[:])
	if err := new(Bridge).UnmarshalBinary(long); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a header beyond the end: %v", err)
	}
}

func FuzzUnmarshal(f *testing.F) {
	f.Add(sealed(fmt.Sprintf(`{"from":"%s","to":"%s","from_dimension":1,"to_dimension":1}`, compat.Fingerprint{1}, compat.Fingerprint{2}), 2))
	f.Fuzz(func(t *testing.T, data []byte) {
		b := new(Bridge)
		if err := b.UnmarshalBinary(data); (err == nil) == (b.p == 0) {
			t.Errorf("%v and %d dimensions", err, b.p)
		}
	})
}
