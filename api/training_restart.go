package api

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/vecino-db/vecino/compat/migrate"
)

// What a server's stop leaves of a training: nothing until the model is
// installed, then the model, and a migration that its next start takes up by
// itself. A training that is started again finds its name taken.
//
// A server that stops in order asks the job's result. One that was killed finds
// the record that the job kept last, which may be a step behind: the model and
// the migration themselves say how far it came.

// startAgain is what is said of a job of which a stop of the server left nothing.
const startAgain = "the server stopped before its end; start it again"

// stopped says what a stop of the server left of a job with such a result.
func stopped(result any) string {
	if t, ok := result.(Training); ok && t.Installed {
		return t.left()
	}
	return startAgain
}

// left says what is there of a training whose model is installed, and what goes
// on.
func (t Training) left() string {
	text := fmt.Sprintf("the server stopped before its end, when the model %s was made and installed; ", t.Model)
	m := t.Migration
	if m == nil {
		return text + fmt.Sprintf("no migration of %q to it had begun, so go on by: %s", t.Collection, t.Next)
	}
	text += fmt.Sprintf("migration %d of %q to it ", m.ID, t.Collection)
	switch {
	case m.State.Runs(), m.State == migrate.Ready, m.State == migrate.CutOver: // it cuts over by itself
		text += "goes on by itself, so there is nothing to start again"
	case m.Reason != "":
		text += fmt.Sprintf("is %s (%s)", m.State, m.Reason)
	default:
		text += fmt.Sprintf("is %s", m.State)
	}
	return text + ": " + t.statusCommand() + " shows it"
}

// statusCommand shows how far its migration is.
func (t Training) statusCommand() string { return "vecino migrate status -c " + t.Collection }

// isInstalled notes that the model has its name.
func (t *Training) isInstalled() {
	t.Installed = true
	t.Next = fmt.Sprintf("vecino migrate plan -c %s --model %s", t.Collection, t.Model)
}

// migrates notes how far its migration is.
func (t *Training) migrates(m migrate.Migration) {
	t.Migration = &TrainingsMigration{ID: m.ID, State: m.State, Reason: m.Reason}
	t.Next = t.statusCommand()
	if m.State == migrate.RollbackWindow || m.State == migrate.Committed {
		t.Next = fmt.Sprintf("vecino migrate commit -c %s", t.Collection)
	}
}

// found is the result that a job had come to when the server was killed; nil:
// none was kept.
func (s *Service) found(ctx context.Context, job Job) any {
	if job.Kind != kindTrain || len(job.Result) == 0 {
		return nil
	}
	var t Training
	if err := json.Unmarshal(job.Result, &t); err != nil {
		s.logger.Warn("the result of a job can't be read and is passed over", "job", job.ID, "error", err)
		return nil
	}
	if root := s.encoders.root; !t.Installed && root != nil {
		if _, err := root.Lstat(strings.TrimPrefix(t.Model, localPrefix)); err == nil { // the job began since nothing had the name
			t.isInstalled()
		}
	}
	c := s.collections[t.Collection]
	if !t.Installed || c == nil {
		return t
	}
	list, err := s.Migrations(ctx, c)
	if err != nil {
		s.logger.Warn("the migration of a training that was interrupted can't be read", "job", job.ID, "collection", t.Collection, "error", err)
	}
	for _, m := range list {
		if t.Migration != nil && t.Migration.ID == m.ID || t.Migration == nil && c.leadsTo(m, t.Model) {
			t.migrates(m)
			break
		}
	}
	return t
}

// leadsTo reports whether a migration leads to a model that the collection has.
func (c *Collection) leadsTo(m migrate.Migration, model string) bool {
	to := c.now().of(m.To)
	return to != nil && to.manifest.Provenance.Model == model
}
