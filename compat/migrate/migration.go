package migrate

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/vecino-db/vecino/compat"
)

// Limits bound what a run takes of the machine. The zero value means the
// defaults.
type Limits struct {
	// TokensPerSecond is the most that is encoded; 0: no bound.
	TokensPerSecond int `json:"tokens_per_second,omitempty"`
	// CPUs is the most processor time that is used in a second, in seconds: 0.5
	// is half of one processor. 0: no bound.
	CPUs float64 `json:"cpus,omitempty"`
	// Batch is the number of documents that are done together; 0: 64.
	Batch int `json:"batch,omitempty"`
}

// maxBatch bounds Limits.Batch: its rows are held in memory.
const maxBatch = 4096

// DefaultBatch is that of a zero Limits.Batch.
const DefaultBatch = 64

// The bounds of Limits.CPUs: below the least a run has no end to speak of.
const (
	minCPUs = 0.01
	maxCPUs = 1024
)

// Validate says what is out of range.
func (l Limits) Validate() error {
	switch {
	case l.TokensPerSecond < 0:
		return fmt.Errorf("limits: %d tokens per second; give a positive number, or leave it out for no bound", l.TokensPerSecond)
	case l.CPUs != 0 && !(l.CPUs >= minCPUs && l.CPUs <= maxCPUs):
		return fmt.Errorf("limits: %g processors; give %g..%d, or leave it out for no bound", l.CPUs, minCPUs, maxCPUs)
	case l.Batch < 0 || l.Batch > maxBatch:
		return fmt.Errorf("limits: a batch of %d; allowed is 1..%d", l.Batch, maxBatch)
	}
	return nil
}

// withDefaults is l with its zero fields filled.
func (l Limits) withDefaults() Limits {
	if l.Batch == 0 {
		l.Batch = DefaultBatch
	}
	return l
}

// restOf is the rest behind a batch of so many tokens that took so long, by the
// bound of tokens; 0: none.
func (l Limits) restOf(tokens int, took time.Duration) time.Duration {
	if l.TokensPerSecond == 0 {
		return 0
	}
	return max(0, time.Duration(float64(tokens)/float64(l.TokensPerSecond)*float64(time.Second))-took)
}

// Progress is how far a run has come.
type Progress struct {
	Done    int `json:"done"`    // documents that have a vector in the target
	Total   int `json:"total"`   // documents that there are
	Tokens  int `json:"tokens"`  // that were encoded by the run; writers' own are not among them
	Encoded int `json:"encoded"` // texts that were encoded by the run
	Blocked int `json:"blocked"` // documents that can't be done; BlockedIDs are some of them
	// BlockedIDs are MaxBlockedIDs of them at most.
	BlockedIDs []string `json:"blocked_ids,omitempty"`
	// Worked is the time that the run took so far, pauses left out; CPU is the
	// processor time of its encoding, linking and evaluation.
	Worked float64 `json:"worked_s"`
	CPU    float64 `json:"cpu_s"`
	// ETA is the time until the target has all documents, in seconds, at the pace
	// under the present limits; nil: not known, or nothing is being filled.
	ETA *float64 `json:"eta_s"`
}

// Step is one change of state.
type Step struct {
	At    time.Time `json:"at"`
	State State     `json:"state"`
	Event Event     `json:"event"`
}

// maxSteps bounds the steps that are kept: the first ones and the last.
const maxSteps = 64

// Migration is the durable record of one migration.
type Migration struct {
	ID         uint64          `json:"id"`
	Collection string          `json:"collection"`
	State      State           `json:"state"`
	Before     State           `json:"before,omitempty"` // where a pause began
	Reason     string          `json:"reason,omitempty"` // why it failed
	Waiting    string          `json:"-"`                // what it stands still for at this moment; "": it does not
	Verdict    compat.Verdict  `json:"verdict"`
	Changes    []compat.Change `json:"changes"`
	From       uint64          `json:"from"` // generation that served at the start
	To         uint64          `json:"to"`   // target; From: none was needed
	Auto       bool            `json:"auto"`
	// RequireCard: the target's model card is one of the gates.
	RequireCard bool       `json:"require_card,omitempty"`
	Limits      Limits     `json:"limits"`
	Progress    Progress   `json:"progress"`
	StartedAt   time.Time  `json:"started_at"`
	EndedAt     *time.Time `json:"ended_at"`
	Steps       []Step     `json:"steps"`
	// Wish, Bridge, Live and Evaluation are the caller's: what was asked for,
	// what carries queries over meanwhile, what both generations did with live
	// queries, and what was measured.
	Wish       json.RawMessage `json:"wish,omitempty"`
	Bridge     json.RawMessage `json:"bridge,omitempty"`
	Live       json.RawMessage `json:"live,omitempty"`
	Evaluation json.RawMessage `json:"evaluation,omitempty"`
}

// InPlace reports whether no target is needed: the serving generation itself is
// changed, or was not, by a migration that has failed.
func (m *Migration) InPlace() bool { return m.From == m.To }

// Apply takes the step of an event at a time. It changes nothing on ErrStep.
func (m *Migration) Apply(e Event, at time.Time) error {
	to, err := m.State.next(e, m.Before)
	if err != nil {
		return fmt.Errorf("migration %d of %q: %w", m.ID, m.Collection, err)
	}
	if to == Paused {
		m.Before = m.State
	} else {
		m.Before = ""
	}
	if to != Failed {
		m.Reason = ""
	}
	if e == EventRollBack {
		m.Auto = false // people have decided otherwise
	}
	m.State = to
	if to != Backfilling && to != CatchingUp {
		m.Progress.ETA = nil
	}
	m.Steps = append(m.Steps, Step{At: at, State: to, Event: e})
	if len(m.Steps) > maxSteps {
		m.Steps = slices.Delete(m.Steps, maxSteps/2, maxSteps/2+1)
	}
	if to.Final() {
		m.EndedAt = &at
	}
	return nil
}

// Fail takes the step of EventFail with its reason, where the state knows it.
func (m *Migration) Fail(reason error, at time.Time) error {
	if err := m.Apply(EventFail, at); err != nil {
		return err
	}
	m.Reason = reason.Error()
	return nil
}

// Clone shares nothing that changes.
func (m *Migration) Clone() Migration {
	c := *m
	c.Steps = slices.Clone(m.Steps)
	c.Changes = slices.Clone(m.Changes)
	c.Progress.BlockedIDs = slices.Clone(m.Progress.BlockedIDs)
	return c
}
