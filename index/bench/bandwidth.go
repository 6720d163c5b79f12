package bench

import (
	"slices"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/kernels/f32"
)

// ReadBandwidth is the bytes a second that one core reads from memory, in order
// and with as little to do for each as there is: inner products of the vectors,
// taken as one long row in halves. The fastest of five passes counts. What
// fits into the caches is not memory: vectors of less than 256 MiB are gone
// through together with as much beside them.
func (d *Data) ReadBandwidth() float64 {
	const least = 64 << 20 // floats
	rows := d.Base.Slice(0, d.Base.Len())
	data := flat(rows)
	if len(data) < least {
		data = slices.Repeat(data, (least+len(data)-1)/len(data))
	}
	const run = 16 << 10
	half := len(data) / 2 / run * run
	best := 0.0
	for range 5 {
		c := startClock()
		for i := 0; i < half; i += run {
			f32.Dot(data[i:i+run], data[half+i:half+i+run])
		}
		processor, _ := c.stop()
		best = max(best, float64(8*half)/processor)
	}
	return best
}

// flat is all rows of a batch as one.
func flat(v compat.Vectors) []float32 {
	out := make([]float32, 0, v.Len()*v.Dim())
	for i := range v.Len() {
		out = append(out, v.Row(i)...)
	}
	return out
}
