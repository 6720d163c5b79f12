package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/embed/evaluate"
	"github.com/vecino-db/vecino/embed/evaluate/compare"
	"github.com/vecino-db/vecino/embed/train"
	"github.com/vecino-db/vecino/embed/train/adapt"
	"github.com/vecino-db/vecino/embed/train/passages"
)

// TrainingWish asks for a model that is better on a collection than its base.
type TrainingWish struct {
	Base  string // "builtin:blend", "builtin:static", or "local:NAME" of a static model; "": builtin:blend
	Name  string // of the new model, without "local:"; "": the collection's with -adapted
	Title string // payload field with a document's title; "": the first line of the text
	Seed  uint64 // of the order of the pairs
	// Pairs of a question and the text that answers it, beside those cut out of
	// the stored documents.
	Pairs []passages.Pair
	// Judged queries are not trained on: the model is refused when it ranks
	// worse by them than its base, and the migration is gated by them.
	Judged []evaluate.Judged
	// Migrate the collection to the model when it is accepted, and cut over
	// when the migration's gates have passed.
	Migrate bool
}

// kindTrain is the kind of its job.
const kindTrain = "train"

// The steps of a training, as its job names them. Of a migration it names the
// state (package migrate).
const (
	StepWaiting    = "waiting" // for another collection's training
	StepReading    = "reading" // done is documents
	StepTraining   = "training"
	StepRetraining = "training_on_all" // the accepted model, as long, with what was held out
	StepJudging    = "judging"
	StepInstalling = "installing"
	StepPlanning   = "planning"
)

// Training is what a training came to.
type Training struct {
	Model      string       `json:"model"` // "local:NAME"
	Base       string       `json:"base"`
	Collection string       `json:"collection"`
	Installed  bool         `json:"installed"` // false: refused, or not come so far
	Seed       uint64       `json:"seed"`
	Documents  int          `json:"documents"` // that gave pairs
	Held       int          `json:"held_out_documents"`
	Pairs      int          `json:"pairs"`
	HeldOut    *HeldOut     `json:"held_out"` // null: it did not come so far
	Judged     *JudgedModel `json:"judged"`   // null: no judged queries were given
	// Fingerprint of the installed model's space.
	Fingerprint string              `json:"fingerprint,omitempty"`
	Seconds     float64             `json:"seconds"`
	Next        string              `json:"next,omitempty"` // the command that goes on
	Estimate    *Estimate           `json:"estimate,omitempty"`
	Migration   *TrainingsMigration `json:"migration,omitempty"`
}

// HeldOut is how the base and the trained model find the pairs that the first
// training did not see.
type HeldOut struct {
	Pairs      int     `json:"pairs"`
	Candidates int     `json:"candidates"`
	Base       Finding `json:"base"`
	Adapted    Finding `json:"adapted"`
}

// Finding is shares of the held-out pairs.
type Finding struct {
	First      float64 `json:"found_first"`
	Ten        float64 `json:"among_first_ten"`
	Reciprocal float64 `json:"mean_reciprocal_rank"`
}

// JudgedModel is what judged queries say of both, by exact search.
type JudgedModel struct {
	Queries    int              `json:"queries"`
	Base       evaluate.Quality `json:"base"`
	Adapted    evaluate.Quality `json:"adapted"`
	Difference evaluate.Gain    `json:"difference"` // adapted minus base, paired
}

// TrainingsMigration is the migration that a training began.
type TrainingsMigration struct {
	ID     uint64        `json:"id,string"`
	State  migrate.State `json:"state"`
	Reason string        `json:"reason,omitempty"`
}

// heldOut reads a training's report.
func heldOut(r train.Report) *HeldOut {
	if r.Before.Pairs == 0 {
		return nil
	}
	finding := func(a train.Accuracy) Finding { return Finding{First: a.First, Ten: a.Ten, Reciprocal: a.Reciprocal} }
	return &HeldOut{Pairs: r.Before.Pairs, Candidates: r.Before.Candidates, Base: finding(r.Before), Adapted: finding(r.After)}
}

// WorseJudgedError is the refusal of a model that ranks worse than its base by
// the judged queries.
type WorseJudgedError struct{ compare.Judgement }

// Error has the figures.
func (e *WorseJudgedError) Error() string {
	d := e.Difference.NDCG10
	return fmt.Sprintf("the trained model ranks worse than its base by the %d judged queries: nDCG@10 %.4f, before %.4f (%+.4f, 95 %% interval %+.4f to %+.4f); nothing was installed. Add documents or pairs, or keep the base",
		e.Queries, e.New.NDCG10.Mean, e.Old.NDCG10.Mean, d.Mean, d.Low, d.High)
}

// Train begins the job that adapts a model to a collection and installs it in
// the server's directory of models as local:NAME, where it can be named at
// once. No model comes from a client: what is installed is what the trainer
// made, under a name that nothing has. The job's result is a Training, however
// it ends; it fails with the figures when the model is not better. Ending the
// job before the model is installed leaves nothing behind; ending it while it
// migrates aborts the migration and leaves the model. A stop of the server leaves
// both, and the migration goes on at the next start without the job, which says
// so.
//
// Errors: KindInvalid for a name that no model can have, KindConflict for one
// that there is and for a migration under way, KindNotReady without a directory
// of models, and those of opening the base.
func (s *Service) Train(ctx context.Context, c *Collection, w TrainingWish) (Job, error) {
	if w.Base == "" {
		w.Base = ModelBlend
	}
	if w.Name == "" {
		w.Name = c.Name() + "-adapted"
	}
	if err := s.canInstall(w.Name); err != nil {
		return Job{}, err
	}
	if m := s.migrations.of(c); w.Migrate && m != nil {
		record := m.get()
		return Job{}, &Error{
			Kind: KindConflict, Code: "migration_under_way", Detail: fmt.Sprintf("migration %d of %q is %s", record.ID, c.Name(), record.State),
			Remedy: "commit or abort it first, or train without migrate",
		}
	}
	base, err := s.encoders.TrainingBase(ctx, w.Base)
	if err != nil {
		return Job{}, err
	}
	job, err := s.jobs.startSteps(kindTrain, c.Name(), func(ctx context.Context, tell func(step string, done, total int), keep func(any)) (any, error) {
		begun := time.Now()
		t := &trainingRun{
			service: s, c: c, wish: w, base: base, tell: tell, keep: keep,
			result: Training{Model: localPrefix + w.Name, Base: w.Base, Collection: c.Name(), Seed: w.Seed},
		}
		err := errors.Join(t.run(ctx), base.Close())
		t.result.Seconds = time.Since(begun).Seconds()
		return t.result, err
	})
	if err != nil {
		return Job{}, errors.Join(err, base.Close())
	}
	return job, nil
}

// canInstall says why no model of a name can be installed.
func (s *Service) canInstall(name string) error {
	if !localName.MatchString(name) {
		e := invalid("bad_model_name", "/name", "%.140q can't be the name of a model", name)
		e.Remedy = "a name has 1 to 128 letters, digits, '.', '_' and '-', and begins with a letter or a digit"
		return e
	}
	root := s.encoders.root
	if root == nil {
		return &Error{
			Kind: KindNotReady, Code: "no_models_directory", Detail: "the server was started without a directory of models, so that nothing can be installed",
			Remedy: "start it with --models DIR",
		}
	}
	switch _, err := root.Lstat(name); {
	case err == nil:
		return modelExists(name)
	case !errors.Is(err, fs.ErrNotExist):
		return &Error{Kind: KindNotReady, Code: "models_unreadable", Detail: "the directory of models can't be read", Remedy: "look at the directory that --models names", Err: err}
	}
	return nil
}

// modelExists is the refusal of a name that there is.
func modelExists(name string) *Error {
	return &Error{
		Kind: KindConflict, Code: "model_exists", Detail: fmt.Sprintf("there is a model local:%s already, and the vectors of a name never change", name),
		Remedy: "give the new one another name", Err: train.ErrInstalled,
	}
}

// install writes the model's files. What is there already stays.
func (s *Service) install(name string, files train.Files) error {
	err := files.Write(filepath.Join(s.encoders.options.Models, name))
	if errors.Is(err, train.ErrInstalled) {
		return modelExists(name)
	}
	return err
}

// take notes what the trainer found, be it refused.
func (t *Training) take(r adapt.Result) {
	t.Documents, t.Held, t.Pairs, t.HeldOut = r.Documents, r.Held, r.Pairs, heldOut(r.Report)
}
