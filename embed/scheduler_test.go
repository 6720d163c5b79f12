package embed_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/embedtest"
	"github.com/vecino-db/vecino/embed/hash"
)

// TestSchedulerConformance holds a scheduler to what every encoder promises.
func TestSchedulerConformance(t *testing.T) {
	embedtest.Run(t, func() embed.Encoder {
		enc, err := hash.New(hash.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := embed.NewScheduler(enc, embed.SchedulerOptions{Workers: 2, Batch: embed.Budget{Tokens: 300, Texts: 4}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}, embedtest.Options{Unembeddable: []string{"", " \t"}})
}

// call is one Encode in the background.
type call struct {
	out  embed.Encoded
	err  error
	done bool
	at   time.Time
}

// encodeSoon begins an Encode and returns when it waits or runs. It is for
// synctest bubbles.
func encodeSoon(ctx context.Context, s embed.Encoder, role embed.Role, texts []string) *call {
	c := &call{}
	go func() {
		c.out, c.err = s.Encode(ctx, role, texts)
		c.done, c.at = true, time.Now()
	}()
	synctest.Wait()
	return c
}

// firsts are the first letters of each batch's texts, one word a batch.
func firsts(batches []slowBatch) []string {
	out := make([]string, len(batches))
	for i, b := range batches {
		for _, text := range b.texts {
			out[i] += text[:1]
		}
	}
	return out
}

func TestSchedulerPriorities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := &slow{fixed: time.Second}
		s := schedule(t, enc, embed.SchedulerOptions{Workers: 1, Batch: embed.Budget{Tokens: 40}, BatchTime: -1})
		ctx := t.Context()
		var calls []*call
		start := func(role embed.Role, ctx context.Context, texts []string) {
			calls = append(calls, encodeSoon(ctx, s, role, texts))
		}
		start(embed.RoleDocument, ctx, words("a", 1, 10)) // runs at once
		start(embed.RoleDocument, embed.WithPriority(ctx, embed.PriorityMigration), words("m", 2, 10))
		start(embed.RoleDocument, ctx, words("i", 6, 10)) // a batch and a half
		start(embed.RoleDocument, ctx, words("j", 3, 10))
		start(embed.RoleQuery, ctx, words("q", 1, 10))
		start(embed.RoleQuery, ctx, words("r", 2, 10))
		start(embed.RoleDocument, embed.WithPriority(ctx, embed.PriorityQuery), words("d", 1, 10)) // another role
		time.Sleep(time.Minute)
		synctest.Wait()
		// Queries first and together, roles apart; then the ingests, of which
		// the large one gives a piece and lets the small one by.
		want := []string{"a", "qrr", "d", "iiii", "jjji", "i", "mm"}
		if got := firsts(enc.took()); !slices.Equal(got, want) {
			t.Errorf("batches %v, want %v", got, want)
		}
		for i, c := range calls {
			if !c.done || c.err != nil {
				t.Errorf("call %d: done %v, error %v", i, c.done, c.err)
			}
		}
		m := s.Metrics()
		if q := m.Priorities[embed.PriorityQuery]; q.Done != 3 || q.QueueSeconds.Count != 3 || q.QueueSeconds.Sum != 1+1+2 {
			t.Errorf("metrics of queries %+v", q)
		}
		if m.BatchTexts.Count != 7 || m.BatchTexts.Sum != 16 || m.BatchTokens.Sum != 160 || m.BatchSeconds.Sum != 7 || m.Running != 0 {
			t.Errorf("metrics %+v", m)
		}
		if c := m.BatchTexts.Cumulative(); c[1] != 3 || c[2] != 4 || c[4] != 7 || c[2048] != 7 {
			t.Errorf("cumulative texts %v", c)
		}
	})
}

// TestSchedulerQueryWaitsOneBatch: with every worker in a large ingest a
// query still gets the next batch.
func TestSchedulerQueryWaitsOneBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := &slow{perToken: time.Millisecond}
		s := schedule(t, enc, embed.SchedulerOptions{Workers: 1, BatchTime: 300 * time.Millisecond})
		ingest := encodeSoon(t.Context(), s, embed.RoleDocument, words("i", 1000, 10)) // 10 seconds
		time.Sleep(3 * time.Second)
		for range 10 {
			began := time.Now()
			if _, err := s.Encode(t.Context(), embed.RoleQuery, []string{"query"}); err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(began); waited > 310*time.Millisecond {
				t.Errorf("a query beside an ingest took %v", waited)
			}
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if err := correct(ingest.out, enc, embed.RoleDocument, words("i", 1000, 10)); !ingest.done || ingest.err != nil || err != nil {
			t.Errorf("the ingest: done %v, error %v, %v", ingest.done, ingest.err, err)
		}
	})
}

// TestSchedulerShare: beside queries that never end, an ingest and a
// migration get their ninth.
func TestSchedulerShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := &slow{perToken: time.Millisecond}
		s := schedule(t, enc, embed.SchedulerOptions{Workers: 1, Batch: embed.Budget{Tokens: 100}, BatchTime: -1, QueryDelay: time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		for range 30 {
			go func() {
				for ctx.Err() == nil {
					_, _ = s.Encode(ctx, embed.RoleQuery, words("q", 1, 20))
				}
			}()
		}
		synctest.Wait()
		encodeSoon(ctx, s, embed.RoleDocument, words("i", 5000, 20))
		encodeSoon(embed.WithPriority(ctx, embed.PriorityMigration), s, embed.RoleDocument, words("m", 5000, 20))
		time.Sleep(100 * time.Second) // a thousand batches
		cancel()
		synctest.Wait()
		tokens := map[string]int{}
		total := 0
		for _, b := range enc.took() {
			tokens[b.texts[0][:1]] += b.tokens
			total += b.tokens
		}
		for _, class := range []string{"i", "m"} {
			if part := float64(tokens[class]) / float64(total); part < 0.08 || part > 0.13 {
				t.Errorf("%s got %.3f of the work: %v of %d tokens", class, part, tokens, total)
			}
		}
	})
}

func TestSchedulerCancellation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := &slow{perToken: time.Second}
		s := schedule(t, enc, embed.SchedulerOptions{Workers: 1, Batch: embed.Budget{Tokens: 20}, BatchTime: -1, QueryDelay: time.Hour})
		begin := func(name string, n int) (*call, context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			return encodeSoon(ctx, s, embed.RoleQuery, words(name, n, 5)), cancel
		}
		running, leaveRunning := begin("a", 1)
		waiting, leaveWaiting := begin("b", 1)
		large, leaveLarge := begin("c", 100)
		stays, _ := begin("d", 2)
		gone := func(name string, c *call) {
			t.Helper()
			if !c.done || !errors.Is(c.err, context.Canceled) {
				t.Errorf("%s: done %v, error %v", name, c.done, c.err)
			}
		}
		leaveWaiting()
		synctest.Wait()
		gone("a caller that waits", waiting)
		leaveRunning()
		synctest.Wait()
		gone("a caller that is encoded", running)
		time.Sleep(time.Second) // "cccc" runs; the rest of c stands behind d
		leaveLarge()
		synctest.Wait()
		gone("a caller of pieces", large)
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if !stays.done || stays.err != nil {
			t.Errorf("the caller that stays: done %v, error %v", stays.done, stays.err)
		}
		if got := firsts(enc.took()); !slices.Equal(got, []string{"a", "cccc", "dd"}) {
			t.Errorf("batches %v", got)
		}
		for _, b := range enc.took()[:2] {
			if !b.cancelled {
				t.Errorf("batch %v was encoded for nobody", b.texts)
			}
		}
		m := s.Metrics().Priorities[embed.PriorityQuery]
		if m.Cancelled != 3 || m.Done != 1 || m.Waiting != 0 || m.WaitingTokens != 0 {
			t.Errorf("metrics %+v", m)
		}

		// A batch of two goes on while one of them is there.
		_, leaveFirst := begin("e", 1)
		_, leaveOne := begin("f", 1)
		other, _ := begin("g", 1)
		leaveFirst()
		time.Sleep(time.Second)
		leaveOne()
		time.Sleep(time.Minute)
		synctest.Wait()
		if last := enc.took()[len(enc.took())-1]; !other.done || other.err != nil || last.cancelled || len(last.texts) != 2 {
			t.Errorf("after one of two has left: error %v, batch %+v", other.err, last)
		}

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		before := len(enc.took())
		if _, err := s.Encode(ctx, embed.RoleQuery, []string{"x"}); !errors.Is(err, context.Canceled) || len(enc.took()) != before {
			t.Errorf("a caller that had left before: %v, %d batches more", err, len(enc.took())-before)
		}
	})
}

func TestSchedulerOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := &slow{perToken: 10 * time.Millisecond}
		s := schedule(t, enc, embed.SchedulerOptions{
			Workers: 1, Batch: embed.Budget{Tokens: 100}, BatchTime: -1,
			QueueTokens: 500, QueueRequests: 3, QueryDelay: 5 * time.Second, IngestDelay: time.Hour,
		})
		ctx := t.Context()
		refused := func(role embed.Role, ctx context.Context, size int, says string) {
			t.Helper()
			counted := enc.counted
			_, err := s.Encode(ctx, role, words("x", 1, size))
			var over *embed.OverloadedError
			if !errors.As(err, &over) || !errors.Is(err, embed.ErrOverloaded) || !strings.Contains(err.Error(), says) {
				t.Fatalf("error %v, want an *OverloadedError that says %q", err, says)
			}
			if over.RetryAfter < 100*time.Millisecond || over.RetryAfter > time.Minute {
				t.Errorf("RetryAfter %v", over.RetryAfter)
			}
			if strings.Contains(says, "requests") && enc.counted != counted {
				t.Error("tokens were counted of a request that had no room anyway")
			}
		}
		encodeSoon(ctx, s, embed.RoleDocument, words("a", 1, 100)) // a second
		encodeSoon(ctx, s, embed.RoleDocument, words("b", 60, 10)) // above the bound, and first in line
		refused(embed.RoleDocument, ctx, 10, "tokens of priority ingest wait")
		for range 3 {
			encodeSoon(ctx, s, embed.RoleQuery, words("q", 1, 99))
		}
		refused(embed.RoleQuery, ctx, 99, "3 requests of priority query wait")
		time.Sleep(time.Second + time.Millisecond) // now the speed is known, and one query runs
		refused(embed.RoleQuery, ctx, 400, "tokens of priority query wait")
		encodeSoon(ctx, s, embed.RoleQuery, words("q", 1, 99))
		time.Sleep(time.Second)
		encodeSoon(ctx, s, embed.RoleQuery, words("q", 1, 200))
		time.Sleep(time.Second)
		encodeSoon(embed.WithPriority(ctx, embed.PriorityMigration), s, embed.RoleDocument, words("m", 600, 10))
		encodeSoon(embed.WithPriority(ctx, embed.PriorityMigration), s, embed.RoleDocument, words("m", 600, 10)) // never refused
		refused(embed.RoleQuery, ctx, 1, "would take about 6.2")
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		m := s.Metrics()
		if q := m.Priorities[embed.PriorityQuery]; q.Done != 5 || q.Rejected != 3 {
			t.Errorf("queries %+v", q)
		}
		if i := m.Priorities[embed.PriorityIngest]; i.Done != 2 || i.Rejected != 1 {
			t.Errorf("ingests %+v", i)
		}
		if i := m.Priorities[embed.PriorityMigration]; i.Done != 2 || i.Rejected != 0 {
			t.Errorf("migrations %+v", i)
		}
	})
}

// TestSchedulerIsolation: a bad text fails its own request alone.
func TestSchedulerIsolation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := &slow{fixed: time.Second}
		s := schedule(t, enc, embed.SchedulerOptions{Workers: 1, BatchTime: -1, QueryDelay: time.Hour})
		requests := [][]string{{"first"}, {"ok", "fine"}, {"good", "bad one"}, {"panic"}, {"bad too", "never"}, {"well"}}
		var calls []*call
		for _, texts := range requests {
			calls = append(calls, encodeSoon(t.Context(), s, embed.RoleQuery, texts))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for i, c := range calls {
			var refused *embed.TextError
			switch i {
			case 2, 4:
				if !errors.As(c.err, &refused) || refused.Index != 2-i/2 || !errors.Is(c.err, embed.ErrNoTokens) {
					t.Errorf("request %d: %v", i, c.err)
				}
			case 3:
				if c.err == nil || errors.As(c.err, &refused) || !strings.Contains(c.err.Error(), "panicked: at the disco") {
					t.Errorf("request %d: %v", i, c.err)
				}
			default:
				if err := correct(c.out, enc, embed.RoleQuery, requests[i]); c.err != nil || err != nil {
					t.Errorf("request %d: %v, %v", i, c.err, err)
				}
			}
		}
		if m := s.Metrics(); m.Isolated != 1 || m.Priorities[0].Failed != 3 || m.Priorities[0].Done != 3 {
			t.Errorf("metrics %+v", m)
		}

		// A panic on the caller's goroutine is an error too, and so is a broken encoder.
		if _, err := s.Encode(t.Context(), embed.RoleQuery, []string{"panic"}); err == nil || !strings.Contains(err.Error(), "panicked") {
			t.Errorf("a panic alone: %v", err)
		}
		enc.failure = errors.New("broken")
		for range 4 {
			calls = append(calls, encodeSoon(t.Context(), s, embed.RoleQuery, []string{"x"}))
		}
		before := len(enc.took())
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, c := range calls[len(requests):] {
			if !errors.Is(c.err, enc.failure) {
				t.Errorf("with a broken encoder: %v", c.err)
			}
		}
		if n := len(enc.took()) - before; n != 2 {
			t.Errorf("a broken encoder was called %d times for one request and a batch", n)
		}
	})
}

// TestSchedulerPieceError: an error in a later piece has the caller's index,
// and the rest of the request is dropped.
func TestSchedulerPieceError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := &slow{fixed: time.Second}
		s := schedule(t, enc, embed.SchedulerOptions{Workers: 2, Batch: embed.Budget{Texts: 3}, BatchTime: -1})
		texts := words("w", 100, 5)
		texts[10] = "bad"
		_, err := s.Encode(t.Context(), embed.RoleDocument, texts)
		var refused *embed.TextError
		if !errors.As(err, &refused) || refused.Index != 10 {
			t.Errorf("error %v, want a *TextError of index 10", err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(enc.took()); n > 6 {
			t.Errorf("%d batches for a request that failed in the fourth", n)
		}
	})
}

// TestSchedulerCut: what the encoder truncates takes no room in a batch, and
// an estimate asks the encoder nothing.
func TestSchedulerCut(t *testing.T) {
	for _, estimate := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			enc := &slow{fixed: time.Second, limit: 4}
			s := schedule(t, enc, embed.SchedulerOptions{Workers: 1, Batch: embed.Budget{Tokens: 20}, BatchTime: -1, Estimate: estimate})
			if _, err := s.Encode(t.Context(), embed.RoleDocument, words("w", 10, 100)); err != nil {
				t.Fatal(err)
			}
			if n := len(enc.took()); n != 2 {
				t.Errorf("%d batches for 40 tokens", n)
			}
			if (enc.counted == 0) != estimate {
				t.Errorf("estimate %v: the encoder counted %d times", estimate, enc.counted)
			}
		})
	}
}

func TestSchedulerClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := &slow{fixed: time.Second}
		s, err := embed.NewScheduler(enc, embed.SchedulerOptions{Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		running := encodeSoon(t.Context(), s, embed.RoleQuery, []string{"runs"})
		waiting := encodeSoon(t.Context(), s, embed.RoleQuery, []string{"waits"})
		for range 2 {
			if err := s.Close(); err != nil || enc.closed != 1 {
				t.Errorf("Close: %v; the encoder was closed %d times", err, enc.closed)
			}
		}
		synctest.Wait()
		if !running.done || running.err != nil {
			t.Errorf("what ran: done %v, error %v", running.done, running.err)
		}
		if !errors.Is(waiting.err, embed.ErrClosed) {
			t.Errorf("what waited: %v", waiting.err)
		}
		if _, err := s.Encode(t.Context(), embed.RoleQuery, []string{"late"}); !errors.Is(err, embed.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if len(enc.took()) != 1 {
			t.Errorf("%d batches", len(enc.took()))
		}
	})
}

func TestSchedulerOptions(t *testing.T) {
	for _, o := range []embed.SchedulerOptions{
		{Workers: -1}, {Batch: embed.Budget{Tokens: -1}}, {QueueTokens: -1}, {QueueRequests: -1}, {QueryDelay: -1}, {IngestDelay: -1},
	} {
		if _, err := embed.NewScheduler(&slow{}, o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

// TestSchedulerAnything: random requests in random order, some of which fail
// or leave, get what the encoder gives them directly, within the budget.
func TestSchedulerAnything(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		budget := embed.Budget{Tokens: rapid.IntRange(1, 60).Draw(rt, "tokens"), Texts: rapid.IntRange(1, 8).Draw(rt, "texts")}
		workers := rapid.IntRange(1, 3).Draw(rt, "workers")
		limit := rapid.IntRange(0, 12).Draw(rt, "limit")
		n := rapid.IntRange(1, 12).Draw(rt, "requests")
		type request struct {
			role     embed.Role
			priority embed.Priority
			texts    []string
			begin    time.Duration
			leave    time.Duration // 0: it stays
			badAt    int
			out      embed.Encoded
			err      error
		}
		requests := make([]request, n)
		for i := range requests {
			r := &requests[i]
			r.role = embed.Role(rapid.IntRange(0, 1).Draw(rt, "role"))
			r.priority = embed.Priority(rapid.IntRange(0, 2).Draw(rt, "priority"))
			r.begin = time.Duration(rapid.IntRange(0, 400).Draw(rt, "begin")) * time.Millisecond
			if rapid.IntRange(0, 4).Draw(rt, "leaves") == 0 {
				r.leave = time.Duration(rapid.IntRange(1, 400).Draw(rt, "leave")) * time.Millisecond
			}
			for j := range rapid.IntRange(0, 12).Draw(rt, "length") {
				r.texts = append(r.texts, fmt.Sprintf("%d-%d", i, j)+strings.Repeat("y", rapid.IntRange(0, 15).Draw(rt, "size")))
			}
			if r.badAt = -1; len(r.texts) > 0 && rapid.IntRange(0, 4).Draw(rt, "bad") == 0 {
				r.badAt = rapid.IntRange(0, len(r.texts)-1).Draw(rt, "at")
				r.texts[r.badAt] = "bad"
			}
		}
		synctest.Test(t, func(t *testing.T) {
			enc := &slow{fixed: 5 * time.Millisecond, perToken: time.Millisecond, limit: limit}
			s, err := embed.NewScheduler(enc, embed.SchedulerOptions{Workers: workers, Batch: budget, BatchTime: -1, QueryDelay: time.Hour, IngestDelay: time.Hour})
			if err != nil {
				rt.Fatal(err)
			}
			var group sync.WaitGroup
			for i := range requests {
				r := &requests[i]
				group.Go(func() {
					time.Sleep(r.begin)
					ctx := embed.WithPriority(context.Background(), r.priority)
					if r.leave > 0 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, r.leave)
						defer cancel()
					}
					r.out, r.err = s.Encode(ctx, r.role, r.texts)
				})
			}
			group.Wait()
			m := s.Metrics()
			if err := s.Close(); err != nil {
				rt.Fatal(err)
			}
			for p, line := range m.Priorities {
				if line.Waiting != 0 || line.WaitingTokens != 0 || line.Rejected != 0 {
					rt.Errorf("at the end priority %d has %+v", p, line)
				}
			}
			if enc.most > workers {
				rt.Errorf("%d batches at once by %d workers", enc.most, workers)
			}
			for _, b := range enc.took() {
				if len(b.texts) > 1 && (b.tokens > budget.Tokens || len(b.texts) > budget.Texts) {
					rt.Errorf("a batch of %d texts and %d tokens; the budget is %+v", len(b.texts), b.tokens, budget)
				}
			}
			for i := range requests {
				r := &requests[i]
				var refused *embed.TextError
				switch {
				case r.leave > 0 && errors.Is(r.err, context.DeadlineExceeded):
				case r.badAt >= 0:
					if !errors.As(r.err, &refused) || refused.Index != r.badAt {
						rt.Errorf("request %d: %v, want a *TextError of index %d", i, r.err, r.badAt)
					}
				case r.err != nil:
					rt.Errorf("request %d: %v", i, r.err)
				default:
					if err := correct(r.out, enc, r.role, r.texts); err != nil {
						rt.Errorf("request %d: %v", i, err)
					}
				}
			}
		})
	})
}
