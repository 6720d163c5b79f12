package migrate

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestPace: workers that use pieces of processor time and rest as they are told
// use, of any time, the limit's share and no more, whatever the pieces are.
func TestPace(t *testing.T) {
	for _, cpus := range []float64{0.05, 0.5, 1, 1.5, 4} {
		for _, workers := range []int{1, 2, 8} {
			r := rand.New(rand.NewPCG(uint64(workers), uint64(cpus*100)))
			p := &Pace{}
			start := time.Unix(1000, 0)
			free := make([]time.Time, workers) // when each works again
			for i := range free {
				free[i] = start
			}
			var used time.Duration
			now := start
			for end := start.Add(20 * time.Second); now.Before(end); {
				next := 0
				for i := range free {
					if free[i].Before(free[next]) {
						next = i
					}
				}
				piece := time.Duration(1+r.IntN(4000)) * time.Microsecond
				now = free[next].Add(piece)
				used += piece
				free[next] = now.Add(p.Rest(cpus, now, piece))
			}
			took := now.Sub(start).Seconds()
			most := cpus*(took+saved.Seconds()) + 0.004*float64(workers)
			least := 0.97 * min(cpus, float64(workers)) * took
			if got := used.Seconds(); got > most || got < least {
				t.Errorf("%g processors, %d workers: %.3f s of processor time in %.3f s; want %.3f to %.3f", cpus, workers, got, took, least, most)
			}
		}
	}
}

// TestPaceSavesLittle: a long rest is no allowance for what comes behind it.
func TestPaceSavesLittle(t *testing.T) {
	p := &Pace{}
	now := time.Unix(1000, 0)
	p.Rest(0.5, now, time.Millisecond)
	now = now.Add(time.Hour)
	if rest, want := p.Rest(0.5, now, time.Second), 2*time.Second-saved; (rest - want).Abs() > time.Microsecond {
		t.Errorf("a second of work behind an hour's rest: rests for %v, want %v", rest, want)
	}
	if rest := p.Rest(0, now, time.Hour); rest != 0 {
		t.Errorf("no limit: rests for %v", rest)
	}
}

// TestPaceChanges: a limit that is raised during a rest makes the rest shorter.
func TestPaceChanges(t *testing.T) {
	p, now := &Pace{}, time.Unix(1000, 0)
	if rest := p.Rest(0.01, now, time.Second); rest < 99*time.Second-saved {
		t.Fatalf("a second under a hundredth of a processor: rests for %v", rest)
	}
	now = now.Add(10 * time.Second)
	if rest := p.Rest(1, now, 0); rest > 0 {
		t.Errorf("ten seconds later, under one processor: rests for %v", rest)
	}
	p.Rest(0.01, now, time.Second)
	if rest := p.Rest(1, now, 0); rest < 800*time.Millisecond || rest > time.Second {
		t.Errorf("at once, under one processor: rests for %v", rest)
	}
}
