package httpapi

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
)

// allocated is what f allocates together: more than memory can grow by.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// TestBombsAreNeverHeld: a body that is too large when decompressed costs
// little memory, and one that is not costs itself and little more.
func TestBombsAreNeverHeld(t *testing.T) {
	const limit, little = 64 << 20, 16 << 20 // a window of zstd alone takes half of it
	pack := func(encoding string, size int) []byte {
		var b bytes.Buffer
		var z io.WriteCloser = gzip.NewWriter(&b)
		if encoding == "zstd" {
			z, _ = zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
		}
		for chunk := make([]byte, 1<<20); size > 0; size -= len(chunk) {
			z.Write(chunk[:min(size, len(chunk))])
		}
		z.Close()
		return b.Bytes()
	}
	for _, encoding := range []string{"gzip", "zstd"} {
		for _, size := range []int{256 << 20, limit + 1, limit, 48<<20 + 7, inflatedAtOnce + 1, inflatedAtOnce, inflatedAtOnce - 1, 1, 0} {
			packed := pack(encoding, size)
			var data []byte
			var err error
			spent := allocated(func() { data, err = inflate(bytes.NewReader(packed), encoding, int64(len(packed)), limit) })
			var refused *requestError
			switch {
			case size > limit && (!errors.As(err, &refused) || refused.status != http.StatusRequestEntityTooLarge):
				t.Errorf("%s of %d bytes: %v", encoding, size, err)
			case size <= limit && (err != nil || len(data) != size):
				t.Errorf("%s of %d bytes: %d, %v", encoding, size, len(data), err)
			case spent > int64(len(data))+little:
				t.Errorf("%s of %d bytes: %d MiB were allocated", encoding, size, spent>>20)
			}
		}
	}
}

// TestReadAll: every way of arriving gives the same bytes, and a plain body
// costs at most itself twice.
func TestReadAll(t *testing.T) {
	const limit = 40 << 20
	random := rand.NewChaCha8([32]byte{7})
	whole := make([]byte, limit+10)
	random.Read(whole)
	for _, size := range []int{0, 1, 511, 512, 4095, 4096, 4097, firstPiece - 1, firstPiece, firstPiece + 1, 9 << 20, limit} {
		want := whole[:size]
		for _, announced := range []int64{-1, int64(size), 0, limit} {
			var got []byte
			var err error
			spent := allocated(func() { got, err = readAll(bytes.NewReader(want), announced, limit) })
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes, %d announced: %d, %v", size, announced, len(got), err)
			}
			most := int64(2*size + trusted*firstPiece + 64<<10)
			if announced > int64(size) {
				most = int64((trusted+1)*size + 2*firstPiece + 64<<10)
			}
			if announced != 0 && spent > most {
				t.Errorf("%d bytes, %d announced: %d allocated, want at most %d", size, announced, spent, most)
			}
		}
		if got, err := readAll(iotest.HalfReader(bytes.NewReader(want)), -1, limit); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes in halves: %v", size, err)
		}
	}
	for _, announced := range []int64{-1, limit + 5} {
		if got, err := readAll(bytes.NewReader(whole), announced, limit); err != nil || len(got) != limit+1 {
			t.Errorf("beyond the limit: %d, %v", len(got), err)
		}
		broken := io.MultiReader(bytes.NewReader(whole[:5000]), iotest.ErrReader(io.ErrClosedPipe))
		if _, err := readAll(broken, announced, limit); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("a body that breaks off: %v", err)
		}
	}
}

// TestSchemaBodiesAreBounded: what is copied to be checked is small, and ends
// as a refusal where it is not.
func TestSchemaBodiesAreBounded(t *testing.T) {
	s := start(t, t.TempDir())
	s.must(200, "PUT", "/collections/c", `{}`)
	body := `{"ids":[` + many(`[],`, 1_000_000) + `1]}`
	var r reply
	spent := allocated(func() { r = s.must(400, "POST", "/collections/c/points", body) })
	if r.at(t, "code") != "bad_json" || spent > 32<<20 {
		t.Errorf("%d MiB were allocated for a million arrays: %s", spent>>20, r.body)
	}
	s.must(200, "POST", "/collections/c/points", `{"ids":[`+many(`"123e4567-e89b-12d3-a456-426614174000",`, 99_999)+`1]}`)
}
