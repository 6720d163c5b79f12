package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// steps is every step that there is, written out a second time: a change of
// the table is a change of what users rely on.
const steps = `
planned          start settle fail abort                  backfilling committed failed aborted
backfilling      filled pause fail abort                  catching_up paused failed aborted
catching_up      caught_up pause fail abort               evaluating paused failed aborted
evaluating       passed refused behind pause fail abort   ready failed catching_up paused failed aborted
ready            cutover evaluate behind fail abort       cut_over evaluating catching_up failed aborted
cut_over         switched                                 rollback_window
rollback_window  commit rollback                          committed rolled_back
rolled_back      cutover evaluate abort                   cut_over evaluating aborted
paused           resume fail abort                        evaluating failed aborted
failed           resume evaluate abort                    catching_up evaluating aborted
committed
aborted
`

var events = []Event{
	EventStart, EventSettle, EventFilled, EventCaughtUp, EventPassed, EventRefused, EventBehind, EventSwitched,
	EventFail, EventPause, EventResume, EventEvaluate, EventCutOver, EventRollBack, EventCommit, EventAbort,
}

// TestTable takes every event in every state.
func TestTable(t *testing.T) {
	states := 0
	for line := range strings.Lines(strings.TrimSpace(steps)) {
		words := strings.Fields(line)
		states++
		from := State(words[0])
		n := (len(words) - 1) / 2
		for _, e := range events {
			m := Migration{State: from, Before: Evaluating, Reason: "it broke"}
			before := m.Clone()
			err := m.Apply(e, time.Unix(7, 0))
			i := slices.Index(words[1:1+n], string(e))
			if i < 0 {
				if !errors.Is(err, ErrStep) || !reflect.DeepEqual(m, before) || from.Knows(e) {
					t.Errorf("%s in %s: %v, state %s", e, from, err, m.State)
				}
				continue
			}
			want := State(words[1+n+i])
			if err != nil || m.State != want || !from.Knows(e) {
				t.Errorf("%s in %s: state %s, %v; want %s", e, from, m.State, err, want)
			}
			if (m.EndedAt != nil) != want.Final() || (m.State == Paused) != (m.Before == from && m.Before != "") {
				t.Errorf("%s in %s: ended %v, before %q", e, from, m.EndedAt, m.Before)
			}
			if len(m.Steps) != 1 || m.Steps[0].State != want {
				t.Errorf("%s in %s: steps %+v", e, from, m.Steps)
			}
		}
	}
	if states != len(table) {
		t.Errorf("%d states are tested and there are %d", states, len(table))
	}
}

func TestHints(t *testing.T) {
	m := Migration{ID: 3, Collection: "c", State: RollbackWindow}
	if err := m.Apply(EventAbort, time.Time{}); err == nil || !strings.Contains(err.Error(), "rollback, commit") {
		t.Errorf("%v does not say what is possible", err)
	}
}

// fakeClock is a time that only sleeping and working move on.
type fakeClock struct {
	now   time.Time
	slept time.Duration
}

func (c *fakeClock) Now() time.Time { return c.now }

func (c *fakeClock) Sleep(ctx context.Context, d time.Duration) error {
	c.now, c.slept = c.now.Add(d), c.slept+d
	return ctx.Err()
}

// fakeStore is a backlog and a keeper, of documents that take one second and
// ten tokens each.
type fakeStore struct {
	clock   *fakeClock
	lacking []int
	blocked map[int]bool
	total   int
	at      int
	encoded map[int]int // how often
	die     int         // documents until it fails; < 0: never
	late    []int       // come in while the first walk ends
	kept    []Migration
}

func (s *fakeStore) Keep(_ context.Context, m Migration) error {
	s.kept = append(s.kept, m)
	return nil
}

func (s *fakeStore) Coverage() (have, total int) { return s.total - len(s.lacking), s.total }

func (s *fakeStore) Next(_ context.Context, n int) (Batch, error) {
	var docs []int
	for _, d := range s.lacking {
		if d >= s.at && len(docs) < n {
			docs = append(docs, d)
		}
	}
	if len(docs) == 0 {
		s.at = 0
		s.lacking, s.total, s.late = append(s.lacking, s.late...), s.total+len(s.late), nil
		return nil, nil
	}
	s.at = docs[len(docs)-1] + 1
	return &fakeBatch{s, docs}, nil
}

type fakeBatch struct {
	s    *fakeStore
	docs []int
}

var errDied = errors.New("died")

func (b *fakeBatch) Len() int { return len(b.docs) }

func (b *fakeBatch) Do(context.Context) (done Done, err error) {
	for _, d := range b.docs {
		if b.s.blocked[d] {
			done.Blocked = append(done.Blocked, fmt.Sprint(d))
			continue
		}
		if b.s.die == 0 {
			return Done{}, errDied // what was encoded of this batch is lost
		}
		b.s.die--
		b.s.encoded[d]++
		b.s.clock.now = b.s.clock.now.Add(time.Second)
		done.Filled, done.Encoded, done.Tokens = done.Filled+1, done.Encoded+1, done.Tokens+10
	}
	b.s.lacking = slices.DeleteFunc(b.s.lacking, func(d int) bool { return slices.Contains(b.docs, d) && !b.s.blocked[d] })
	return done, nil
}

func newFake(n int) *fakeStore {
	s := &fakeStore{clock: &fakeClock{now: time.Unix(1000, 0)}, total: n, encoded: map[int]int{}, die: -1, blocked: map[int]bool{}}
	for d := range n {
		s.lacking = append(s.lacking, d)
	}
	return s
}

func (s *fakeStore) runner(l Limits) *Runner {
	return &Runner{Backlog: s, Keeper: s, Clock: s.clock, Limits: func() Limits { return l }}
}

func begun() *Migration {
	return &Migration{ID: 1, Collection: "c", State: Backfilling}
}

// TestFill: documents that come in while it runs are caught up with; blocked
// ones are named and don't keep it going.
func TestFill(t *testing.T) {
	s := newFake(100)
	s.blocked[17], s.late = true, []int{200, 201}
	m := begun()
	if err := s.runner(Limits{Batch: 8}).Fill(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	p := m.Progress
	if m.State != Evaluating || p.Done != 101 || p.Total != 102 || p.Encoded != 101 || p.Tokens != 1010 || p.Blocked != 1 || !slices.Equal(p.BlockedIDs, []string{"17"}) {
		t.Errorf("%s %+v", m.State, p)
	}
	for d, n := range s.encoded {
		if n != 1 {
			t.Errorf("document %d was encoded %d times", d, n)
		}
	}
	last := s.kept[len(s.kept)-1]
	if last.State != Evaluating || last.Progress.Done != 101 {
		t.Errorf("kept is %s %+v", last.State, last.Progress)
	}
}

// TestFillResumes: whenever it dies, it goes on from what is lacking; of what
// was encoded at most one batch is encoded again, and the record reads back.
func TestFillResumes(t *testing.T) {
	for die := range 60 {
		s := newFake(50)
		s.die = die
		m := begun()
		err := s.runner(Limits{Batch: 4}).Fill(t.Context(), m)
		if die < 50 && !errors.Is(err, errDied) {
			t.Fatalf("after %d documents: %v", die, err)
		}
		stored, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var again Migration
		if err := json.Unmarshal(stored, &again); err != nil {
			t.Fatal(err)
		}
		s.die, s.at = -1, 0
		if again.State.Runs() && again.State != Evaluating {
			if err := s.runner(Limits{Batch: 4}).Fill(t.Context(), &again); err != nil {
				t.Fatal(err)
			}
		}
		twice := 0
		for _, n := range s.encoded {
			twice += n - 1
		}
		if again.State != Evaluating || len(s.encoded) != 50 || twice > 3 {
			t.Errorf("after %d documents: %s, %d encoded, %d twice", die, again.State, len(s.encoded), twice)
		}
	}
}

// TestLimits: the run keeps to the bound of tokens, and the time that is left
// counts the rests in, from the first batch on.
func TestLimits(t *testing.T) {
	for _, test := range []struct {
		limits Limits
		want   time.Duration // for 40 documents of 1 s and 10 tokens
	}{
		{Limits{}, 40 * time.Second},
		{Limits{TokensPerSecond: 5}, 80 * time.Second},
		{Limits{TokensPerSecond: 1}, 400 * time.Second},
		{Limits{TokensPerSecond: 1000}, 40 * time.Second},
	} {
		test.limits.Batch = 4
		s := newFake(40)
		r := s.runner(test.limits)
		told := 0
		r.Changed = func(m Migration) {
			if m.State != Backfilling || m.Progress.ETA == nil {
				return
			}
			told++
			left, rest := *m.Progress.ETA, (test.want - s.clock.now.Sub(time.Unix(1000, 0))).Seconds()
			if math.Abs(left-rest) > 0.02*rest+0.001 {
				t.Errorf("%+v: with %d documents done %g s are left, want %g", test.limits, m.Progress.Done, left, rest)
			}
		}
		if err := r.Fill(t.Context(), begun()); err != nil {
			t.Fatal(err)
		}
		if took := s.clock.now.Sub(time.Unix(1000, 0)); took != test.want || told < 10 {
			t.Errorf("%+v took %v, want %v; the time that is left was told %d times", test.limits, took, test.want, told)
		}
	}
	for _, l := range []Limits{{TokensPerSecond: -1}, {CPUs: -0.1}, {CPUs: 0.001}, {CPUs: 1e9}, {CPUs: math.NaN()}, {CPUs: math.Inf(1)}, {Batch: -1}, {Batch: 1 << 20}} {
		if l.Validate() == nil {
			t.Errorf("%+v is taken", l)
		}
	}
}

// TestLimitsChange: other limits hold from the next batch on, end a rest that they
// don't ask for, and make nothing be encoded twice.
func TestLimitsChange(t *testing.T) {
	s := newFake(40)
	limits := Limits{TokensPerSecond: 1, Batch: 4}
	r := s.runner(limits)
	r.Limits = func() Limits {
		if s.clock.slept > 5*time.Second {
			return Limits{TokensPerSecond: 5, Batch: 6}
		}
		return limits
	}
	var done []int
	r.Changed = func(m Migration) {
		if done = append(done, m.Progress.Done); m.Progress.Done == 16 && m.State == Backfilling {
			if eta := m.Progress.ETA; eta == nil {
				t.Error("under the new limits nobody knows what is left")
			} else if math.Abs(*eta-54) > 1 {
				t.Errorf("under the new limits %g s are left, want 54: a rest of 6 and 24 documents in 48", *eta)
			}
		}
	}
	if err := r.Fill(t.Context(), begun()); err != nil {
		t.Fatal(err)
	}
	// 4 documents under the old bound would take 40 s; 36 under the new one take 72.
	if took := s.clock.now.Sub(time.Unix(1000, 0)); took < 78*time.Second || took > 85*time.Second {
		t.Errorf("it took %v", took)
	}
	if len(done) < 4 || !slices.Equal(done[:3], []int{4, 10, 16}) {
		t.Errorf("batches end at %v, want 4, 10, 16", done)
	}
	for d, n := range s.encoded {
		if n != 1 {
			t.Errorf("document %d was encoded %d times", d, n)
		}
	}
}

// TestFillEnds with the context.
func TestFillEnds(t *testing.T) {
	s := newFake(40)
	ctx, cancel := context.WithCancel(t.Context())
	r := s.runner(Limits{Batch: 4})
	r.Changed = func(m Migration) {
		if m.Progress.Done == 12 {
			cancel()
		}
	}
	m := begun()
	if err := r.Fill(ctx, m); !errors.Is(err, context.Canceled) || m.State != Backfilling || m.Progress.Done != 12 {
		t.Errorf("%v, %s, %d done", err, m.State, m.Progress.Done)
	}
}

// TestRollBackEndsAuto: who has rolled an automatic migration back is asked
// before it cuts over again.
func TestRollBackEndsAuto(t *testing.T) {
	m := Migration{State: RollbackWindow, Auto: true}
	for _, e := range []Event{EventRollBack, EventEvaluate, EventPassed} {
		if err := m.Apply(e, time.Unix(7, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if m.State != Ready || m.Auto {
		t.Errorf("%s, auto %v", m.State, m.Auto)
	}
}
