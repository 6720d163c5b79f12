package bert

import (
	"math"

	"github.com/vecino-db/vecino/kernels/f32"
	"github.com/vecino-db/vecino/kernels/gemm"
)

const (
	// scoresFloats bounds the scores that are kept at once: half of a usual
	// second-level cache.
	scoresFloats = 64 << 10
	// queryRows is what a block of queries is a multiple of: the rows of the
	// tallest tile.
	queryRows = 12
	// windowQueries is the block of queries in layers that look at a window.
	windowQueries = 96
)

// attend computes one head of one sequence:
//
//	mixed = softmax(queries * keys^T + bias) * values
//
// a block of queries at a time. The scale is in the queries already.
func (n *network) attend(a *arena, l *lane, at *layer, sequence, head int) {
	from, to := a.span(sequence)
	tokens, size, stride := to-from, n.headSize(), 3*n.Hidden
	block := max(queryRows, min(tokens, scoresFloats/tokens/queryRows*queryRows))
	if at.window > 0 {
		block = windowQueries
	}
	column := head * size
	queries := a.qkv[from*stride+column:]
	packed := [2]int{-1, -1}
	for q := 0; q < tokens; q += block {
		rows := min(block, tokens-q)
		low, high := 0, tokens
		if at.window > 0 {
			low, high = max(0, q-at.window), min(tokens, q+rows+at.window)
		}
		keys := high - low
		if packed != [2]int{low, high} {
			packed = [2]int{low, high}
			l.keys.RepackT(a.qkv[(from+low)*stride+n.Hidden+column:], keys, size, stride)
			l.values.Repack(a.qkv[(from+low)*stride+2*n.Hidden+column:], keys, size, stride)
		}
		scores := grow(&l.scores, rows*keys)
		gemm.Mul(scores, keys, queries[q*stride:], stride, rows, &l.keys, gemm.Epilogue{})
		if n.relative == nil && at.window == 0 {
			f32.SoftmaxRows(scores, keys)
			gemm.Mul(a.mixed[(from+q)*n.Hidden+column:], n.Hidden, scores, keys, rows, &l.values, gemm.Epilogue{})
			continue
		}
		for r := range rows {
			row := scores[r*keys : (r+1)*keys]
			if n.relative != nil {
				f32.Add(row, n.relative.row(a, head, q+r, tokens))
			}
			if at.window > 0 {
				row = mask(row, q+r-at.window-low, q+r+at.window+1-low)
			}
			f32.Softmax(row)
		}
		gemm.Mul(a.mixed[(from+q)*n.Hidden+column:], n.Hidden, scores, keys, rows, &l.values, gemm.Epilogue{})
	}
}

// mask sets the weights outside of low..high-1 to 0 and returns those inside.
func mask(row []float32, low, high int) []float32 {
	low, high = max(low, 0), min(high, len(row))
	clear(row[:low])
	clear(row[high:])
	return row[low:high]
}

// relative is MPNet's bias by the distance of two tokens, in buckets (Raffel et
// al., Exploring the Limits of Transfer Learning, 2020, section 2.1, in both
// directions).
type relative struct {
	buckets, heads int
	bias           []float32 // [buckets, heads]
}

// maxDistance is where the last bucket begins; it is no setting.
const maxDistance = 128

// bucket of a key that lies distance tokens after the query.
func (b *relative) bucket(distance int) int {
	half := b.buckets / 2
	at := 0
	if distance > 0 {
		at = half
	} else {
		distance = -distance
	}
	exact := half / 2
	if distance < exact {
		return at + distance
	}
	// In float32, as the reference computes it: buckets begin at such values.
	ratio := float32(math.Log(float64(float32(distance)/float32(exact)))) / float32(math.Log(maxDistance/float64(exact)))
	return at + min(half-1, exact+int(ratio*float32(half-exact)))
}

// fill prepares the bias of all heads for sequences of up to longest tokens, in
// a.bias: for each head the distances -(longest-1)..longest-1.
func (b *relative) fill(a *arena, longest int) {
	distances := 2*longest - 1
	grow(&a.bias, b.heads*distances)
	for i := range distances {
		at := b.bucket(i-(longest-1)) * b.heads
		for head := range b.heads {
			a.bias[head*distances+i] = b.bias[at+head]
		}
	}
}

// row is the bias of the query at position i of a sequence of n tokens.
func (b *relative) row(a *arena, head, i, n int) []float32 {
	distances := len(a.bias) / b.heads
	from := head*distances + distances/2 - i
	return a.bias[from : from+n]
}
