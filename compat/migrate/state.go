package migrate

import (
	"errors"
	"fmt"
)

// State is where a migration is. States are names that people and programs
// read; they never change.
type State string

// The states.
const (
	Planned        State = "planned"
	Backfilling    State = "backfilling"
	CatchingUp     State = "catching_up"
	Evaluating     State = "evaluating"
	Ready          State = "ready"
	CutOver        State = "cut_over"
	RollbackWindow State = "rollback_window"
	Committed      State = "committed"
	Paused         State = "paused"
	Failed         State = "failed"
	Aborted        State = "aborted"
	RolledBack     State = "rolled_back"
)

// Event is what leads from one state to another.
type Event string

// The events. Those of the first group come from the run, the others from
// people (or from Auto).
const (
	EventStart    Event = "start"     // the target generation is there
	EventSettle   Event = "settle"    // the change needed no new generation
	EventFilled   Event = "filled"    // one walk over the backlog has ended
	EventCaughtUp Event = "caught_up" // the backlog holds nothing that can be done
	EventPassed   Event = "passed"    // every gate that decides has passed
	EventRefused  Event = "refused"   // a gate has not
	EventBehind   Event = "behind"    // the target lacks documents again
	EventSwitched Event = "switched"  // the cut-over is durable and seen by all
	EventFail     Event = "fail"
	EventPause    Event = "pause"
	EventResume   Event = "resume"
	EventEvaluate Event = "evaluate"
	EventCutOver  Event = "cutover"
	EventRollBack Event = "rollback"
	EventCommit   Event = "commit"
	EventAbort    Event = "abort"
)

// ErrStep means that a state does not know the event.
var ErrStep = errors.New("not possible in this state")

// resumed stands in the table for the state in which a migration was paused.
const resumed State = "(where it was)"

// table is every step that there is.
var table = map[State]map[Event]State{
	Planned:        {EventStart: Backfilling, EventSettle: Committed, EventFail: Failed, EventAbort: Aborted},
	Backfilling:    {EventFilled: CatchingUp, EventPause: Paused, EventFail: Failed, EventAbort: Aborted},
	CatchingUp:     {EventCaughtUp: Evaluating, EventPause: Paused, EventFail: Failed, EventAbort: Aborted},
	Evaluating:     {EventPassed: Ready, EventRefused: Failed, EventBehind: CatchingUp, EventPause: Paused, EventFail: Failed, EventAbort: Aborted},
	Ready:          {EventCutOver: CutOver, EventEvaluate: Evaluating, EventBehind: CatchingUp, EventFail: Failed, EventAbort: Aborted},
	CutOver:        {EventSwitched: RollbackWindow},
	RollbackWindow: {EventCommit: Committed, EventRollBack: RolledBack},
	RolledBack:     {EventCutOver: CutOver, EventEvaluate: Evaluating, EventAbort: Aborted},
	Paused:         {EventResume: resumed, EventFail: Failed, EventAbort: Aborted},
	Failed:         {EventResume: CatchingUp, EventEvaluate: Evaluating, EventAbort: Aborted},
	Committed:      {},
	Aborted:        {},
}

// Final reports whether the migration has ended.
func (s State) Final() bool { return s == Committed || s == Aborted }

// Runs reports whether there is work to be done in the state without anybody
// asking for it.
func (s State) Runs() bool { return s == Backfilling || s == CatchingUp || s == Evaluating }

// Served reports whether the target serves in the state.
func (s State) Served() bool { return s == CutOver || s == RollbackWindow || s == Committed }

// Knows reports whether the state knows the event.
func (s State) Knows(e Event) bool { _, ok := table[s][e]; return ok }

// next is the state behind an event; before is where a pause began.
func (s State) next(e Event, before State) (State, error) {
	to, ok := table[s][e]
	if !ok {
		return s, fmt.Errorf("%s: %w %q; %s", e, ErrStep, s, s.hint())
	}
	if to == resumed {
		to = before
	}
	return to, nil
}

// hint says what people can do in a state.
func (s State) hint() string {
	known := ""
	for _, e := range []Event{EventPause, EventResume, EventEvaluate, EventCutOver, EventRollBack, EventCommit, EventAbort} {
		if s.Knows(e) {
			if known != "" {
				known += ", "
			}
			known += string(e)
		}
	}
	if known == "" {
		return "start another migration"
	}
	return "possible is: " + known
}
