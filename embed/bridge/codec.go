package bridge

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"

	"github.com/vecino-db/vecino/compat"
)

const (
	magic     = "vecino bridge 1\n"
	maxHeader = 64 << 10
)

// header is the JSON of a bridge's bytes.
type header struct {
	From          compat.Fingerprint `json:"from"`
	To            compat.Fingerprint `json:"to"`
	FromDimension int                `json:"from_dimension"`
	ToDimension   int                `json:"to_dimension"`
	Method        Method             `json:"method"`
	Normalize     bool               `json:"normalize"`
	Check         Check              `json:"check"`
}

// MarshalBinary writes the bridge in the form that the package's comment draws.
func (b *Bridge) MarshalBinary() ([]byte, error) {
	head, err := json.Marshal(header{b.from, b.to, b.p, b.q, b.method, b.normalize, b.check})
	if err != nil {
		return nil, fmt.Errorf("bridge: %w", err)
	}
	out := make([]byte, 0, len(magic)+4+len(head)+4*(len(b.weights)+len(b.shift))+sha256.Size)
	out = append(out, magic...)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(head)))
	out = append(out, head...)
	for _, part := range [][]float32{b.weights, b.shift} {
		for _, v := range part {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
		}
	}
	sum := sha256.Sum256(out)
	return append(out, sum[:]...), nil
}

// UnmarshalBinary reads what MarshalBinary wrote, and refuses anything else with
// ErrCorrupt: then fit the bridge again.
func (b *Bridge) UnmarshalBinary(data []byte) error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s: fit it again", ErrCorrupt, fmt.Sprintf(format, args...))
	}
	if len(data) < len(magic)+4+sha256.Size || string(data[:len(magic)]) != magic {
		return fail("%d bytes without its mark", len(data))
	}
	body, sum := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if own := sha256.Sum256(body); !bytes.Equal(own[:], sum) {
		return fail("its checksum differs")
	}
	size := binary.LittleEndian.Uint32(body[len(magic):])
	rest := body[len(magic)+4:]
	if size > maxHeader || int(size) > len(rest) {
		return fail("a header of %d bytes", size)
	}
	var h header
	if err := json.Unmarshal(rest[:size], &h); err != nil {
		return fail("%v", err)
	}
	rest = rest[size:]
	if h.From.IsZero() || h.To.IsZero() || h.From == h.To || h.FromDimension < 1 || h.ToDimension < 1 || h.FromDimension > MaxDimension || h.ToDimension > MaxDimension {
		return fail("spaces %.12s of %d dimensions and %.12s of %d", h.From, h.FromDimension, h.To, h.ToDimension)
	}
	if want := 4 * h.ToDimension * (h.FromDimension + 1); len(rest) != want {
		return fail("%d bytes of numbers, not %d", len(rest), want)
	}
	numbers := make([]float32, len(rest)/4)
	for i := range numbers {
		numbers[i] = math.Float32frombits(binary.LittleEndian.Uint32(rest[4*i:]))
		if v := float64(numbers[i]); math.IsNaN(v) || math.IsInf(v, 0) {
			return fail("number %d is %v", i, v)
		}
	}
	at := h.ToDimension * h.FromDimension
	*b = Bridge{
		from: h.From, to: h.To, p: h.FromDimension, q: h.ToDimension, method: h.Method, normalize: h.Normalize, check: h.Check,
		weights: numbers[:at:at], shift: numbers[at:],
	}
	return nil
}
