package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/vecino-db/vecino/index"
)

// Beside is how much inserts on another core slow queries down.
type Beside struct {
	Name      string  `json:"name"`
	Ef        int     `json:"ef"`
	Vectors   int     `json:"vectors"`  // at the beginning
	Inserted  int     `json:"inserted"` // beside the queries
	AloneQPS  float64 `json:"alone_queries_per_second"`
	BesideQPS float64 `json:"beside_queries_per_second"`
	Ratio     float64 `json:"ratio"`
	// By the clock on the wall; processors are shared with other programs there.
	WallRatio float64 `json:"wall_ratio"`
	// Inserts a second of the inserting goroutine's time on the wall.
	InsertsPerSecond float64 `json:"inserts_per_second"`
}

// besideShare of the vectors are inserted beside the queries.
const besideShare = 5

// Beside builds an index of four fifths of the vectors, and asks it from one
// thread: alone, and while another goroutine inserts the rest as fast as it can,
// in turn, each for so long, three times or until all are in. Rates are by
// the processor time of the asking thread.
func (d *Data) Beside(ctx context.Context, e Engine, ef int, each time.Duration, report func(done int)) (out Beside, err error) {
	n := d.Base.Len() - d.Base.Len()/besideShare
	out = Beside{Name: e.String(), Ef: ef, Vectors: n}
	if runtime.GOMAXPROCS(0) < 2 {
		return out, fmt.Errorf("bench: queries beside inserts need two processors, and this process may use one")
	}
	x, err := d.open(e)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, end(x)) }()
	if err := d.insert(ctx, x, 0, n, runtime.GOMAXPROCS(0), report); err != nil {
		return out, err
	}
	var alone, beside rates
	in := inserter{data: d, index: x, next: n}
	for range 3 {
		if in.next >= d.Base.Len() {
			break
		}
		if err := d.askFor(ctx, x, ef, each, &alone, nil); err != nil {
			return out, err
		}
		done := in.start(ctx)
		err := d.askFor(ctx, x, ef, each, &beside, done)
		if err := in.stop(); err != nil {
			return out, err
		}
		if err != nil {
			return out, err
		}
	}
	// After as well as before, because the index has grown.
	if err := d.askFor(ctx, x, ef, each, &alone, nil); err != nil {
		return out, err
	}
	out.Inserted = in.next - n
	out.AloneQPS, out.BesideQPS = alone.queries/alone.thread, beside.queries/beside.thread
	out.Ratio = out.BesideQPS / out.AloneQPS
	out.WallRatio = beside.queries / beside.wall / (alone.queries / alone.wall)
	out.InsertsPerSecond = float64(out.Inserted) / in.seconds
	return out, nil
}

// rates sums up what one thread did.
type rates struct{ queries, thread, wall float64 }

// askFor asks queries from this goroutine for so long, or until done.
func (d *Data) askFor(ctx context.Context, x index.Index, ef int, each time.Duration, r *rates, done <-chan struct{}) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begun, thread := time.Now(), threadTime()
	defer func() {
		r.thread += (threadTime() - thread).Seconds()
		r.wall += time.Since(begun).Seconds()
	}()
	for i := 0; time.Since(begun) < each; i++ {
		at := i % d.Queries.Len()
		if _, err := x.Search(ctx, index.Query{Vector: d.Queries.Slice(at, at+1), K: d.params.K, Ef: ef}); err != nil {
			return err
		}
		r.queries++
		select {
		case <-done:
			return nil
		default:
		}
	}
	return nil
}

// inserter inserts what is left, whenever it is started.
type inserter struct {
	data    *Data
	index   index.Index
	next    int
	seconds float64
	cancel  context.CancelFunc
	wait    sync.WaitGroup
	err     error
}

// start inserts until stop; the channel closes when all are in.
func (in *inserter) start(ctx context.Context) <-chan struct{} {
	done := make(chan struct{})
	inserting, cancel := context.WithCancel(ctx)
	in.cancel = cancel
	in.wait.Go(func() {
		defer close(done)
		begun := time.Now()
		defer func() { in.seconds += time.Since(begun).Seconds() }()
		for in.next < in.data.Base.Len() && inserting.Err() == nil {
			last := min(in.next+16, in.data.Base.Len())
			if in.err = in.index.Insert(ctx, ordinals(in.next, last-in.next), in.data.Base.Slice(in.next, last)); in.err != nil {
				return
			}
			in.next = last
		}
	})
	return done
}

// stop ends it and gives its error.
func (in *inserter) stop() error {
	in.cancel()
	in.wait.Wait()
	return in.err
}
