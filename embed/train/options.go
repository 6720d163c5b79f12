package train

import (
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/vecino-db/vecino/compat"
)

// Options of Run. The zero Options train one epoch as the general table was.
type Options struct {
	// Nested are the leading dimensions whose losses are averaged (Matryoshka),
	// ascending; the model's whole dimension is added where it is missing.
	// Empty: a quarter, a half and all, as far as those are at least 32.
	Nested []int
	// Batch is the pairs of a step, all of one source: each pair's document
	// stands against the others'. 0: 1024.
	Batch int
	// Epochs go over all pairs. 0: one.
	Epochs int
	// Rate is Adam's step after the warm-up; it falls to zero in a line. 0: .01,
	// which suits an untrained table; .003 suits a trained one.
	Rate float64
	// Warmup is the share of the steps in which the rate rises from zero; 0: .03.
	Warmup float64
	// Temperature divides the cosines; 0: .05. It is at least .03, so that no
	// exponential leaves the range of a float32.
	Temperature float64
	// Seed decides the order of the pairs.
	Seed uint64
	// Threads that compute; 0: one a core. Equal seeds give equal bits for any
	// number of them, on one kind of processor.
	Threads int
	// Held are pairs that are not trained on: their accuracy is measured after
	// every HeldEvery steps (0: each epoch) and at the end.
	Held      *Set
	HeldEvery int
	// Patience stops the training when so many measurements in a row were no
	// better than the best; 0: never. The best state is what stays.
	Patience int
	// Progress is called after every step, from the goroutine of Run; nil: not.
	Progress func(Progress)
	// Checkpoint is a file that holds the state, written every CheckpointEvery
	// (0: a minute) and removed at the end; "": none. A training of the same
	// options, pairs and model goes on from there.
	Checkpoint      string
	CheckpointEvery time.Duration
}

// Progress is where a training stands.
type Progress struct {
	Step, Steps int
	Epoch       int     // from 1
	Loss        float64 // of the step, a pair
	Pairs       int     // trained so far, counted each time
	Elapsed     time.Duration
	Held        Accuracy // the newest measurement of the held-out pairs
	Measured    bool     // whether there is one
}

// Validate reports the first value that can't be trained with.
func (o Options) Validate() error {
	switch {
	case o.Batch < 0 || o.Batch == 1 || o.Batch > maxBatch:
		return fmt.Errorf("train: a batch of %d pairs: give 2..%d, or 0 for 1024", o.Batch, maxBatch)
	case o.Epochs < 0 || o.Epochs > maxEpochs:
		return fmt.Errorf("train: %d epochs: give 1..%d", o.Epochs, maxEpochs)
	case !(o.Rate >= 0 && o.Rate <= 1):
		return fmt.Errorf("train: a rate of %g: give a number above 0 and up to 1", o.Rate)
	case !(o.Warmup >= 0 && o.Warmup < 1):
		return fmt.Errorf("train: a warm-up of %g: give a share of the steps, from 0 to below 1", o.Warmup)
	case o.Temperature != 0 && !(o.Temperature >= 0.03 && o.Temperature <= 10):
		return fmt.Errorf("train: a temperature of %g: give .03..10", o.Temperature)
	case o.Threads < 0 || o.HeldEvery < 0 || o.Patience < 0 || o.CheckpointEvery < 0:
		return fmt.Errorf("train: a negative number of threads, steps or measurements; leave it out for the usual one")
	case !slices.IsSorted(o.Nested) || len(o.Nested) > 0 && o.Nested[0] < 1 || len(o.Nested) > maxNested:
		return fmt.Errorf("train: nested dimensions %v: give up to %d ascending positive numbers", o.Nested, maxNested)
	}
	return nil
}

const (
	maxBatch  = 8192
	maxEpochs = 1000
	maxNested = 8
)

// withDefaults fills in what was left out, for a model of dim dimensions.
func (o Options) withDefaults(dim int) (Options, error) {
	if err := o.Validate(); err != nil {
		return o, err
	}
	if o.Batch == 0 {
		o.Batch = 1024
	}
	if o.Epochs == 0 {
		o.Epochs = 1
	}
	if o.Rate == 0 {
		o.Rate = 0.01
	}
	if o.Warmup == 0 {
		o.Warmup = 0.03
	}
	if o.Temperature == 0 {
		o.Temperature = 0.05
	}
	if o.Threads == 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	if o.CheckpointEvery == 0 {
		o.CheckpointEvery = time.Minute
	}
	o.Nested = slices.Clone(o.Nested)
	if len(o.Nested) == 0 {
		for _, d := range []int{dim / 4, dim / 2} {
			if d >= 32 {
				o.Nested = append(o.Nested, d)
			}
		}
	}
	if len(o.Nested) == 0 || o.Nested[len(o.Nested)-1] < dim {
		o.Nested = append(o.Nested, dim)
	}
	if last := o.Nested[len(o.Nested)-1]; last > dim {
		return o, fmt.Errorf("train: a nested dimension of %d for a model of %d: give at most that", last, dim)
	}
	o.Nested = slices.Compact(o.Nested)
	return o, nil
}

// maxDimension bounds a model's rows.
const maxDimension = compat.MaxDimension
