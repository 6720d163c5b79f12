package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/evaluate"
	"github.com/vecino-db/vecino/embed/evaluate/compare"
	"github.com/vecino-db/vecino/embed/train"
	"github.com/vecino-db/vecino/embed/train/adapt"
	"github.com/vecino-db/vecino/store"
)

// trainingRun is one training on its way.
type trainingRun struct {
	service *Service
	c       *Collection
	wish    TrainingWish
	base    TrainingBase
	tell    func(step string, done, total int)
	keep    func(result any)
	result  Training
}

// run goes through the steps.
func (t *trainingRun) run(ctx context.Context) error {
	documents, files, err := t.train(ctx)
	if err != nil {
		return err
	}
	if len(t.wish.Judged) > 0 {
		t.tell(StepJudging, 0, 0)
		if err := t.judge(ctx, documents, files); err != nil {
			return err
		}
	}
	t.tell(StepInstalling, 0, 0)
	if err := ctx.Err(); err != nil {
		return err
	}
	s := t.service
	t.keep(t.result) // a start after a crash looks whether the model got its name
	if err := s.install(t.wish.Name, files); err != nil {
		return err
	}
	t.result.isInstalled()
	model, err := s.encoders.Describe(ctx, t.result.Model)
	if err != nil {
		return fmt.Errorf("%s is installed: %w", t.result.Model, err)
	}
	t.result.Fingerprint = model.Space.Fingerprint().String()
	t.keep(t.result)
	s.logger.Info("model trained", "collection", t.c.Name(), "model", t.result.Model, "base", t.wish.Base, "documents", t.result.Documents, "pairs", t.result.Pairs)
	if !t.wish.Migrate {
		return nil
	}
	if err := t.migrate(ctx); err != nil {
		return fmt.Errorf("%s is installed, and the collection was not migrated to it: %w", t.result.Model, err)
	}
	return nil
}

// train makes the files of an accepted model. It holds the one turn that there
// is, and with it what takes memory.
func (t *trainingRun) train(ctx context.Context) ([]trainingDocument, train.Files, error) {
	t.tell(StepWaiting, 0, 0)
	s := t.service
	select {
	case s.training <- struct{}{}:
	case <-ctx.Done():
		return nil, train.Files{}, ctx.Err()
	}
	defer func() { <-s.training }()
	documents, err := t.read(ctx)
	if err != nil {
		return nil, train.Files{}, err
	}
	texts := make([]adapt.Document, len(documents))
	for i, d := range documents {
		texts[i] = d.Document
	}
	progress := func(p train.Progress, second bool) {
		step := StepTraining
		if second {
			step = StepRetraining
		}
		t.tell(step, p.Step, p.Steps)
	}
	t.tell(StepTraining, 0, 0)
	r, err := t.base.Train(ctx, texts, adapt.Options{
		Seed: t.wish.Seed, Threads: s.encoders.options.Threads, Pairs: t.wish.Pairs, Progress: progress,
	})
	t.result.take(r)
	if err != nil {
		return nil, train.Files{}, err
	}
	files, err := t.base.Pack(t.wish.Name, t.c.Name(), strings.TrimPrefix(s.program, "vecino "), t.wish.Seed, r)
	return documents, files, err
}

// trainingDocument is a document with its id, which judgements name.
type trainingDocument struct {
	id string
	adapt.Document
}

// Bounds of what a training holds in memory. The trainer takes no more than
// 2^20 pairs, which so many documents give.
const (
	mostTrainingDocuments = 1 << 18
	mostTrainingBytes     = 1 << 30
	trainingPage          = 1000
)

// read reads the collection's texts: all of them, or, where that is more than
// the bounds, every second one of them, every fourth and so on, and those that
// are judged.
func (t *trainingRun) read(ctx context.Context) ([]trainingDocument, error) {
	total, err := t.c.Count(ctx, nil)
	if err != nil {
		return nil, err
	}
	judged := map[string]bool{}
	for _, q := range t.wish.Judged {
		for id := range q.Gains {
			judged[id] = true
		}
	}
	sample := thinning{most: mostTrainingDocuments, mostBytes: mostTrainingBytes, keep: judged, stride: 1}
	q := store.ScrollQuery{Limit: trainingPage}
	for done := 0; ; {
		page, next, err := t.c.Scroll(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, d := range page {
			if d.HasText && d.Text != "" {
				sample.add(trainingDocument{d.ID.String(), adapt.Document{Title: titleOf(d.Payload, t.wish.Title), Body: d.Text}})
			}
		}
		done += len(page)
		t.tell(StepReading, done, max(done, total))
		if next == nil {
			return sample.kept(), nil
		}
		q.From, q.HasFrom = *next, true
	}
}

// titleOf is the text in a field of a payload; "" where there is none.
func titleOf(payload []byte, field string) string {
	var fields map[string]json.RawMessage
	var title string
	if field == "" || json.Unmarshal(payload, &fields) != nil || json.Unmarshal(fields[field], &title) != nil {
		return ""
	}
	return title
}

// thinning keeps every stride-th document, and doubles the stride where they
// become too many.
type thinning struct {
	most      int
	mostBytes int
	keep      map[string]bool // ids that stay; they count among the bytes alone

	stride, seen, bytes int
	sample              []trainingDocument // numbers 0, stride, 2*stride ...
	always              []trainingDocument
}

func (t *thinning) add(d trainingDocument) {
	if t.keep[d.id] {
		t.always = append(t.always, d)
		t.bytes += len(d.Title) + len(d.Body)
		return
	}
	if t.seen%t.stride == 0 {
		t.sample = append(t.sample, d)
		t.bytes += len(d.Title) + len(d.Body)
	}
	t.seen++
	for len(t.sample) > 1 && (len(t.sample) > t.most || t.bytes > t.mostBytes) {
		t.stride *= 2
		var half []trainingDocument
		for i, d := range t.sample {
			if i%2 == 0 {
				half = append(half, d)
			} else {
				t.bytes -= len(d.Title) + len(d.Body)
			}
		}
		t.sample = half
	}
}

func (t *thinning) kept() []trainingDocument { return append(t.sample, t.always...) }

// judge ranks the documents by both models, whole as they are served, and
// refuses a model that does worse.
func (t *trainingRun) judge(ctx context.Context, documents []trainingDocument, files train.Files) (err error) {
	s := t.service
	ctx = embed.WithPriority(ctx, embed.PriorityMigration)
	collection := evaluate.Collection{}
	for _, d := range documents {
		collection.IDs, collection.Documents = append(collection.IDs, d.id), append(collection.Documents, d.Body)
	}
	for _, q := range t.wish.Judged {
		collection.Queries, collection.Gains = append(collection.Queries, q.Text), append(collection.Gains, q.Gains)
	}
	dir, err := os.MkdirTemp(s.encoders.options.Models, ".judging-") // no name of a model
	if err != nil {
		return fmt.Errorf("judge the model: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := files.Write(filepath.Join(dir, "model")); err != nil {
		return err
	}
	base, err := s.encoders.get(ctx, t.wish.Base, EncoderOptions{})
	if err != nil {
		return err
	}
	defer base.release()
	before, err := evaluate.Retrieve(ctx, base.queue, collection)
	if err != nil {
		return err
	}
	adapted, err := OpenLocal(ctx, filepath.Join(dir, "model"), t.result.Model, EncoderOptions{}, s.encoders.options.Threads)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, adapted.Close()) }()
	after, err := evaluate.Retrieve(ctx, adapted, collection)
	if err != nil {
		return err
	}
	j := compare.Judgement{Queries: len(t.wish.Judged)}
	bootstrap := evaluate.Bootstrap{Seed: t.wish.Seed}
	if j.Old, err = bootstrap.Quality(before.Scores); err != nil {
		return err
	}
	if j.New, err = bootstrap.Quality(after.Scores); err != nil {
		return err
	}
	if j.Difference, err = bootstrap.Gain(before.Scores, after.Scores); err != nil {
		return err
	}
	t.result.Judged = &JudgedModel{Queries: j.Queries, Base: j.Old, Adapted: j.New, Difference: j.Difference}
	if j.Difference.NDCG10.Mean < 0 {
		return &WorseJudgedError{j}
	}
	return nil
}

// followEvery is how often a training looks how far its migration is.
const followEvery = 50 * time.Millisecond

// migrate plans the migration, starts it, and waits for its end. The gates
// decide; what they refuse stays as the migration has it, for people to look
// at. A job that is ended takes its migration along; a server that stops leaves
// it to its next start.
func (t *trainingRun) migrate(ctx context.Context) error {
	s := t.service
	t.tell(StepPlanning, 0, 0)
	wish := Wish{Embedding: &EmbeddingWish{Model: t.result.Model}}
	estimate, err := s.Estimate(ctx, t.c, wish, 0)
	if err != nil {
		return err
	}
	t.result.Estimate = &estimate
	diff, err := s.Diff(ctx, t.c, wish)
	if err != nil {
		return err
	}
	judged := t.wish.Judged
	if diff.Plan.Verdict.Opens() { // the training came to the very model that serves
		judged = nil
	}
	m, err := s.Migrate(ctx, t.c, MigrationWish{Wish: wish, Auto: true, Judged: judged})
	if err != nil {
		return err
	}
	for begun := false; ; begun = true {
		t.result.migrates(m)
		t.tell(string(m.State), m.Progress.Done, m.Progress.Total)
		if !begun {
			t.keep(t.result)
		}
		switch m.State {
		case migrate.RollbackWindow, migrate.Committed:
			return nil
		case migrate.Failed, migrate.Aborted, migrate.RolledBack:
			return fmt.Errorf("migration %d is %s: %s", m.ID, m.State, m.Reason)
		}
		var next migrate.Migration
		err := systemClock{}.Sleep(ctx, followEvery)
		if err == nil {
			next, err = s.Migration(ctx, t.c, m.ID)
		}
		if err != nil {
			return t.left(ctx, m.ID, err)
		}
		m = next
	}
}

// left ends the migration of a job that a user ended, and looks at the one that
// a stop of the server leaves to its next start.
func (t *trainingRun) left(ctx context.Context, id uint64, err error) error {
	if !errors.Is(context.Cause(ctx), errJobCanceled) {
		if m, unknown := t.service.Migration(context.WithoutCancel(ctx), t.c, id); unknown == nil {
			t.result.migrates(m)
		}
		return err
	}
	m, aborted := t.service.MigrationStep(context.WithoutCancel(ctx), t.c, id, migrate.EventAbort, StepOptions{})
	if m.ID == id { // an abort comes too late for one that has cut over
		t.result.migrates(m)
	}
	return errors.Join(err, aborted)
}
