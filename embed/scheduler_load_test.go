package embed_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/hash"
)

// loadEncoder is like a small transformer on one core: 5,000 tokens a second
// in full batches, and 4 ms for a query of 16 tokens alone.
func loadEncoder() *slow { return &slow{fixed: time.Millisecond, perToken: 195 * time.Microsecond} }

// load is an open loop: queries come at a rate whatever becomes of them, and
// each caller waits for its patience.
type load struct {
	rate     float64 // queries a second
	patience time.Duration
	duration time.Duration
}

// outcome of a load.
type outcome struct {
	good      int             // tokens of queries answered in time
	rejected  int             // queries
	late      int             // queries whose caller left
	latencies []time.Duration // of the answered
	wrong     error
}

func (o outcome) p99() time.Duration {
	slices.Sort(o.latencies)
	return o.latencies[len(o.latencies)*99/100]
}

// run lasts as long as the load in virtual time.
func (l load) run(s embed.Encoder, seed uint64) (o outcome) {
	random := rand.New(rand.NewPCG(seed, 0))
	var mu sync.Mutex
	var group sync.WaitGroup
	began := time.Now()
	for due := time.Duration(0); due < l.duration; due += time.Duration(random.ExpFloat64() / l.rate * float64(time.Second)) {
		time.Sleep(due - time.Since(began))
		text := strings.Repeat("q", 8+random.IntN(17)) // 16 tokens on average
		group.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), l.patience)
			defer cancel()
			came := time.Now()
			_, err := s.Encode(ctx, embed.RoleQuery, []string{text})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				o.good += len(text)
				o.latencies = append(o.latencies, time.Since(came))
			case errors.Is(err, embed.ErrOverloaded):
				o.rejected++
			case errors.Is(err, context.DeadlineExceeded):
				o.late++
			default:
				o.wrong = err
			}
		})
	}
	group.Wait()
	return o
}

// TestSchedulerUnderOverload: at 4 and 10 times the capacity at least 80 % of
// it goes into answers that come in time, and the admitted wait no longer than
// the bound allows. An ingest and a migration go on beside. Time is virtual,
// so the figures don't depend on the machine.
func TestSchedulerUnderOverload(t *testing.T) {
	const seed = 11
	options := embed.SchedulerOptions{Workers: 1}
	perToken := loadEncoder().perToken
	capacity := 1 / perToken.Seconds() // tokens a second, of batches without end
	measure := func(l load, others bool) (o outcome, encoded int) {
		synctest.Test(t, func(t *testing.T) {
			enc := loadEncoder()
			s := schedule(t, enc, options)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if others {
				for _, p := range []embed.Priority{embed.PriorityIngest, embed.PriorityMigration} {
					go func() {
						for ctx.Err() == nil {
							_, _ = s.Encode(embed.WithPriority(ctx, p), embed.RoleDocument, words("d", 500, 100))
						}
					}()
				}
			}
			o = l.run(s, seed)
			encoded = enc.tokens
		})
		if o.wrong != nil {
			t.Errorf("load %+v: %v", l, o.wrong)
		}
		return o, encoded
	}
	queries := capacity / 16
	unloaded, _ := measure(load{rate: 0.1 * queries, patience: time.Second, duration: 20 * time.Second}, false)
	if unloaded.rejected+unloaded.late > 0 {
		t.Errorf("unloaded: %d rejected, %d late", unloaded.rejected, unloaded.late)
	}
	t.Logf("unloaded: p99 %v", unloaded.p99())
	for _, times := range []float64{1, 4, 10} {
		for _, others := range []bool{false, true} {
			l := load{rate: times * queries, patience: time.Second, duration: 20 * time.Second}
			o, encoded := measure(l, others)
			available := capacity * l.duration.Seconds()
			goodput := float64(o.good) / available
			t.Logf("%gx, others %v: goodput %.3f of capacity, all work %.3f, %d answered, %d rejected, %d late, p99 %v",
				times, others, goodput, float64(encoded)/available, len(o.latencies), o.rejected, o.late, o.p99())
			floor := 0.8
			if others {
				floor *= 7. / 9 // two ninths are theirs
				if float64(encoded) < 0.8*available {
					t.Errorf("%gx: all work is %.3f of capacity", times, float64(encoded)/available)
				}
			}
			if goodput < floor {
				t.Errorf("%gx, others %v: goodput %.3f of capacity, want %.2f", times, others, goodput, floor)
			}
			if most := 500*time.Millisecond + 5*unloaded.p99(); times > 1 && !others && o.p99() > most {
				t.Errorf("%gx: p99 of the admitted %v, want at most %v", times, o.p99(), most)
			}
			if times > 1 && o.rejected == 0 {
				t.Errorf("%gx: nothing was rejected", times)
			}
		}
	}
}

// TestSchedulerRace hammers a scheduler of real goroutines and real time, for
// the race detector.
func TestSchedulerRace(t *testing.T) {
	enc := &slow{perToken: time.Microsecond}
	s := schedule(t, enc, embed.SchedulerOptions{Workers: 2, Batch: embed.Budget{Tokens: 200, Texts: 16}, QueueRequests: 20})
	var group sync.WaitGroup
	for worker := range 16 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 0))
			for n := range 30 {
				role := embed.Role(random.IntN(2))
				texts := words(fmt.Sprintf("%d-%d-", worker, n), 1+random.IntN(40), 10)
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(random.IntN(20000))*time.Microsecond)
				out, err := s.Encode(embed.WithPriority(ctx, embed.Priority(random.IntN(3))), role, texts)
				cancel()
				if err == nil {
					err = correct(out, enc, role, texts)
				}
				if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, embed.ErrOverloaded) {
					t.Errorf("worker %d, request %d: %v", worker, n, err)
				}
				s.Metrics()
			}
		})
	}
	group.Wait()
}

// BenchmarkScheduler is a query of builtin:hash on an idle server, directly
// and through a scheduler; and from several callers to one worker, so that
// queries wait and share batches.
func BenchmarkScheduler(b *testing.B) {
	enc, err := hash.New(hash.Options{})
	if err != nil {
		b.Fatal(err)
	}
	query := []string{"how do I reset my password"}
	encode := func(b *testing.B, e embed.Encoder) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := e.Encode(b.Context(), embed.RoleQuery, query); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("direct", func(b *testing.B) { encode(b, enc) })
	b.Run("scheduler", func(b *testing.B) { encode(b, schedule(b, enc, embed.SchedulerOptions{})) })
	b.Run("crowded", func(b *testing.B) {
		s := schedule(b, enc, embed.SchedulerOptions{Workers: 1})
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := s.Encode(b.Context(), embed.RoleQuery, query); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
