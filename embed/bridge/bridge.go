package bridge

import (
	"errors"
	"fmt"
	"math"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/kernels/f32"
)

// Errors that callers decide on.
var (
	// ErrPairs: the pairs can't be used; nothing was fitted.
	ErrPairs = errors.New("unusable pairs")
	// ErrRecall is what every *RecallError wraps.
	ErrRecall = errors.New("the bridge finds too little")
	// ErrCorrupt: bytes that are no bridge.
	ErrCorrupt = errors.New("unreadable bridge")
	// ErrSpace: queries or a stamper of another space than the bridge joins.
	ErrSpace = errors.New("not a space of this bridge")
)

// Method is a way of fitting.
type Method string

// The methods.
const (
	Orthogonal Method = "orthogonal"
	Linear     Method = "linear"
)

// Check is what was measured of a bridge.
type Check struct {
	Recall  float64 `json:"recall"` // recall@K on HeldOut pairs that decided nothing, 0 to 1
	K       int     `json:"k"`
	HeldOut int     `json:"held_out"`
	Pool    int     `json:"pool"`  // stored vectors among which was searched
	Pairs   int     `json:"pairs"` // that it was fitted on
	// Tried has the recall of every method on the pairs that decided.
	Tried []Tried `json:"tried"`
}

// Tried is one method that was fitted.
type Tried struct {
	Method Method  `json:"method"`
	Recall float64 `json:"recall"`
}

// RecallError refuses a bridge that would find too little.
type RecallError struct {
	Check Check
	Least float64 // recall that was wanted
}

// Error says what was measured and what to do.
func (e *RecallError) Error() string {
	return fmt.Sprintf("%v: recall@%d is %.3f on %d held-out pairs of %d, and %.2f is wanted: the two encoders see different things in texts; wait until the texts are embedded anew, or bridge from an encoder that is nearer to the lost one",
		ErrRecall, e.Check.K, e.Check.Recall, e.Check.HeldOut, e.Check.Pool, e.Least)
}

// Unwrap gives ErrRecall.
func (e *RecallError) Unwrap() error { return ErrRecall }

// Bridge carries queries from one space to another. It is immutable and safe
// for concurrent use.
type Bridge struct {
	from, to  compat.Fingerprint
	p, q      int // dimensions of the two
	method    Method
	normalize bool
	check     Check
	weights   []float32 // W transposed, row-major, q x p
	shift     []float32 // q
}

// From is the space whose queries are carried over.
func (b *Bridge) From() compat.Fingerprint { return b.from }

// To is the space that they are carried to.
func (b *Bridge) To() compat.Fingerprint { return b.to }

// Method is how the bridge was fitted.
func (b *Bridge) Method() Method { return b.method }

// Check is what was measured when the bridge was fitted.
func (b *Bridge) Check() Check {
	c := b.check
	c.Tried = append([]Tried(nil), c.Tried...)
	return c
}

// Apply carries queries over and stamps them with the stamper of To. Errors:
// ErrSpace where queries or stamper are of another space, and a
// *compat.VectorError for a query that would have no direction.
func (b *Bridge) Apply(stamper *compat.Stamper, queries compat.Vectors) (compat.Bridged, error) {
	if !queries.Fingerprint().Matches(b.from) || queries.Dim() != b.p {
		return compat.Bridged{}, fmt.Errorf("bridge: %w: it carries queries of %.12s, and these are of %.12s: encode with the encoder that the bridge was fitted for", ErrSpace, b.from, queries.Fingerprint())
	}
	if !stamper.Fingerprint().Matches(b.to) || stamper.Dimension() != b.q {
		return compat.Bridged{}, fmt.Errorf("bridge: %w: it leads to %.12s, and the stamper is of %.12s: use it with the collection that it was fitted for", ErrSpace, b.to, stamper.Fingerprint())
	}
	out := make([]float32, queries.Len()*b.q)
	rows := upTo(b.q)
	for i := range queries.Len() {
		b.carry(out[i*b.q:(i+1)*b.q], queries.Row(i), rows)
	}
	return stamper.StampBridged(b.from, out)
}

// carry sets to, of q floats, to what x becomes. rows are 0..q-1.
func (b *Bridge) carry(to, x []float32, rows []uint32) {
	f32.DotRows(to, x, b.weights, rows)
	var squares float64
	for j, s := range b.shift {
		to[j] += s
		squares += float64(to[j]) * float64(to[j])
	}
	if b.normalize && squares > 0 {
		scale := 1 / math.Sqrt(squares)
		for j := range to {
			to[j] = float32(float64(to[j]) * scale)
		}
	}
}

// upTo are the numbers 0..n-1.
func upTo(n int) []uint32 {
	rows := make([]uint32, n)
	for i := range rows {
		rows[i] = uint32(i)
	}
	return rows
}
