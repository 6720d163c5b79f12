package train

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vecino-db/vecino/embed/token"
)

// Model is a static model in memory: a row for each token of the tokenizer. Its
// vector of a text is the mean of the rows of the text's known tokens, scaled
// to length 1.
type Model struct {
	Tokenizer *token.Tokenizer
	Dimension int
	Rows      []float32 // row-major, tokens x Dimension
}

// check wants rows of the right number.
func (m *Model) check() error {
	if m.Dimension < 1 || m.Dimension > maxDimension || len(m.Rows) != m.Tokenizer.Size()*m.Dimension {
		return fmt.Errorf("train: %d numbers are no rows of %d dimensions for %d tokens", len(m.Rows), m.Dimension, m.Tokenizer.Size())
	}
	return nil
}

// Report is what a training did.
type Report struct {
	Steps    int
	PerEpoch int     // steps of an epoch
	Pairs    int     // trained, counted each time; those of a resumed training's past included
	Loss     float64 // a pair, over the last tenth of the planned steps
	Elapsed  time.Duration
	Stopped  bool     // by Options.Patience, before the last step
	Before   Accuracy // of the held-out pairs, before the first step
	After    Accuracy // of the rows that stayed
	BestStep int      // after which those rows were so
}

// ErrNoPairs is returned for a set that is too small for one step.
var ErrNoPairs = errors.New("too few pairs of texts to train on")

// Run trains the model's rows in place. When ctx ends it returns ctx's error,
// having written the checkpoint if there is one; the rows are then those of the
// step it came to. Memory is three times the model's rows, 4n^2 + 6n*Dimension
// floats for batches of n pairs, and one more copy of the rows with
// Options.Held.
func Run(ctx context.Context, m *Model, s *Set, o Options) (Report, error) {
	if err := m.check(); err != nil {
		return Report{}, err
	}
	o, err := o.withDefaults(m.Dimension)
	if err != nil {
		return Report{}, err
	}
	r := &run{options: o, model: m, set: s, table: newTable(m.Rows, m.Dimension, workers(o.Threads)), contrast: newContrast(o, m.Dimension)}
	r.perEpoch = len(s.epoch(o.Seed, 0, o.Batch))
	if r.perEpoch == 0 {
		return Report{}, fmt.Errorf("%w: %s; at least %d of one source are a step", ErrNoPairs, s, leastBatch)
	}
	r.steps = r.perEpoch * o.Epochs
	if o.HeldEvery == 0 {
		r.options.HeldEvery = r.perEpoch
	}
	if r.holds() {
		r.Before = Measure(m, o.Held, o.Threads)
	}
	if err := r.resume(); err != nil {
		return Report{}, err
	}
	return r.train(ctx)
}

// run is a training under way.
type run struct {
	options  Options
	model    *Model
	set      *Set
	table    *table
	contrast *contrast
	identity [32]byte // of options, pairs and first rows; with a checkpoint only

	steps, perEpoch int
	state
	bestRows []float32 // nil: the rows as they are
	tail     []float64 // losses of the last tenth of the steps
	past     time.Duration
	started  time.Time
	saved    time.Time
}

// state is what a checkpoint keeps besides numbers of the table.
type state struct {
	Step, Pairs int
	Worse       int // measurements in a row that were no better than the best
	BestStep    int
	Measured    bool
	Best        Accuracy
	Latest      Accuracy
	Before      Accuracy
	Elapsed     time.Duration
}

func (r *run) holds() bool { return r.options.Held != nil && r.options.Held.Len() > 1 }

func (r *run) train(ctx context.Context) (Report, error) {
	r.started, r.saved = time.Now(), time.Now()
	stopped := false
	for r.Step < r.steps && !stopped {
		epoch := r.Step / r.perEpoch
		for _, b := range r.set.epoch(r.options.Seed, epoch, r.options.Batch)[r.Step%r.perEpoch:] {
			if err := ctx.Err(); err != nil {
				return r.report(), errors.Join(err, r.checkpoint())
			}
			loss := r.one(b)
			if stopped = r.held(); stopped {
				break
			}
			if time.Since(r.saved) > r.options.CheckpointEvery {
				if err := r.checkpoint(); err != nil {
					return r.report(), err
				}
			}
			r.progress(epoch, loss)
		}
	}
	out := r.report()
	out.Stopped = stopped
	if r.bestRows != nil {
		copy(r.model.Rows, r.bestRows)
	}
	return out, r.removeCheckpoint()
}

// one does one step and gives its loss.
func (r *run) one(b batch) float64 {
	c := r.contrast
	c.resize(len(b))
	r.table.gather(c.a, c.b, r.set, b)
	loss := c.run()
	r.table.index(r.set, b)
	r.table.step(c.da, c.db, r.rate())
	r.Step++
	r.Pairs += len(b)
	if r.Step > r.steps-max(1, r.steps/10) {
		r.tail = append(r.tail, loss)
	}
	return loss
}

// rate rises in a line to the peak, then falls in a line to zero.
func (r *run) rate() float64 {
	at, warm := (float64(r.Step)+0.5)/float64(r.steps), r.options.Warmup
	if at < warm {
		return r.options.Rate * at / warm
	}
	return r.options.Rate * (1 - at) / (1 - warm)
}

// held measures the held-out pairs where it is time; true to stop.
func (r *run) held() bool {
	if !r.holds() || r.Step%r.options.HeldEvery != 0 && r.Step != r.steps {
		return false
	}
	r.Latest = Measure(r.model, r.options.Held, r.options.Threads)
	if !r.Measured || r.Latest.better(r.Best) {
		r.Best, r.BestStep, r.Worse = r.Latest, r.Step, 0
		r.bestRows = nil
		if r.Step < r.steps {
			r.bestRows = slices.Clone(r.model.Rows)
		}
		r.Measured = true
		return false
	}
	r.Worse++
	return r.options.Patience > 0 && r.Worse >= r.options.Patience
}

// report is what was done so far.
func (r *run) report() Report {
	out := Report{Steps: r.Step, PerEpoch: r.perEpoch, Pairs: r.Pairs, Elapsed: r.elapsed(), Before: r.Before, After: r.Best, BestStep: r.BestStep}
	for _, l := range r.tail {
		out.Loss += l / float64(len(r.tail))
	}
	return out
}

func (r *run) elapsed() time.Duration { return r.past + time.Since(r.started) }

func (r *run) progress(epoch int, loss float64) {
	if r.options.Progress != nil {
		r.options.Progress(Progress{
			Step: r.Step, Steps: r.steps, Epoch: epoch + 1, Loss: loss, Pairs: r.Pairs,
			Elapsed: r.elapsed(), Held: r.Latest, Measured: r.Measured,
		})
	}
}
