package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/store"
)

// fieldOf makes a collection of texts whose words belong together only there,
// so that a model adapted to them is better.
func fieldOf(t *testing.T, s *Service, name string) *Collection {
	t.Helper()
	c, err := s.Create(t.Context(), name, Wish{Embedding: &EmbeddingWish{Model: ModelStatic}})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("apple river stone window garden letter engine mirror copper yellow silver paper winter bridge candle button pocket forest island market school doctor soldier kitchen basket blanket hammer ladder needle ribbon saddle ticket tunnel valley violin wallet whistle anchor barrel camera")
	rng.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	var points []Point
	for i := range 320 {
		topic := words[i%8*5 : i%8*5+5]
		say := func() string { return fmt.Sprintf("The %s is near the %s.", topic[rng.IntN(5)], topic[rng.IntN(5)]) }
		points = append(points, Point{ID: store.NumID(uint64(i)), Text: fmt.Sprintf("%s %s Number %d.", say(), say(), i), HasText: true})
	}
	if _, err := c.Upsert(t.Context(), points); err != nil {
		t.Fatal(err)
	}
	return c
}

// awaitJob waits for a job to fulfil a condition.
func awaitJob(t *testing.T, s *Service, id string, ready func(Job) bool) Job {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		job, err := s.Job(id)
		if err != nil {
			t.Fatal(err)
		}
		if ready(job) {
			return job
		}
	}
	job, _ := s.Job(id)
	t.Fatalf("the job is %+v", job)
	return job
}

// TestTrainingEndedWhileItMigrates: a user who ends the job ends its migration,
// and keeps the model; a server that stops goes on with the migration alone.
func TestTrainingEndedWhileItMigrates(t *testing.T) {
	data, models := t.TempDir(), t.TempDir()
	s := open(t, data, models)
	c := fieldOf(t, s, "c")
	before := c.Fingerprint()
	// begin trains, and gives the job whose migration waits for its turn.
	begin := func(name string) Job {
		t.Helper()
		s.migrations.turn <- struct{}{}
		job, err := s.Train(t.Context(), c, TrainingWish{Base: ModelStatic, Name: name, Migrate: true})
		if err != nil {
			t.Fatal(err)
		}
		return awaitJob(t, s, job.ID, func(j Job) bool {
			if j.State != JobRunning {
				t.Fatalf("the job is %s: %s", j.State, j.Error)
			}
			return j.Step == string(migrate.Backfilling)
		})
	}
	job := begin("first")
	if _, err := s.EndJob(t.Context(), job.ID); err != nil {
		t.Fatal(err)
	}
	<-s.migrations.turn
	job = awaitJob(t, s, job.ID, func(j Job) bool { return j.State != JobRunning })
	if job.State != JobCanceled || !strings.Contains(string(job.Result), `"state":"aborted"`) || !strings.Contains(string(job.Result), `"installed":true`) {
		t.Errorf("the job is %s: %s", job.State, job.Result)
	}
	if m, err := s.Migration(t.Context(), c, 1); err != nil || m.State != migrate.Aborted || !c.Fingerprint().Matches(before) || c.StandbyManifest() != nil {
		t.Errorf("its migration is %s, %v", m.State, err)
	}
	if entries, err := os.ReadDir(models); err != nil || len(entries) != 1 || entries[0].Name() != "first" {
		t.Errorf("models: %v, %v", entries, err)
	}

	job = begin("second")
	shut(t, s)
	s = open(t, data, models)
	defer func() { shut(t, s) }()
	c = collectionOf(t, s, "c")
	job = saysOf(t, s, job.ID, `the model local:second was made and installed; migration 2 of "c" to it goes on by itself, so there is nothing to start again: vecino migrate status -c c`)
	if !strings.Contains(string(job.Result), `"migration":{"id":"2","state":"backfilling"}`) {
		t.Errorf("its result is %s", job.Result)
	}
	await(t, s, c, 2, migrate.RollbackWindow)
	if got := c.Manifest().Provenance.Model; got != "local:second" {
		t.Errorf("the collection is served by %s", got)
	}
}

// saysOf wants a job that was interrupted to say something, and gives it.
func saysOf(t *testing.T, s *Service, id, want string) Job {
	t.Helper()
	job, err := s.Job(id)
	if err != nil || job.State != JobInterrupted || job.Finished == nil || !strings.Contains(job.Error, want) {
		t.Errorf("after a restart the job is %+v, %v; want %q", job, err, want)
	}
	return job
}

// recordOf is what the store keeps of a job.
func recordOf(t *testing.T, opened *store.Store, id string) (number uint64, job Job) {
	t.Helper()
	numbers, records, err := opened.Jobs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, number := range numbers {
		if err := json.Unmarshal(records[i], &job); err != nil {
			t.Fatal(err)
		}
		if job.ID == id {
			return number, job
		}
	}
	t.Fatalf("no record of job %s among %d", id, len(numbers))
	return 0, job
}

// TestTrainingKilled: after the end of a server that was killed the job says what
// is there of the training, also where its record is older than that.
func TestTrainingKilled(t *testing.T) {
	data, models := t.TempDir(), t.TempDir()
	s := open(t, data, models)
	c := fieldOf(t, s, "c")
	s.migrations.turn <- struct{}{}
	job, err := s.Train(t.Context(), c, TrainingWish{Base: ModelStatic, Name: "new", Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, first := recordOf(t, s.store, job.ID); first.State != JobRunning || first.Result != nil {
		t.Errorf("the record of a job that began is %+v", first)
	}
	var number uint64
	var killed Job
	awaitJob(t, s, job.ID, func(j Job) bool {
		if j.State != JobRunning {
			t.Fatalf("the job is %s: %s", j.State, j.Error)
		}
		if j.Result != nil {
			t.Fatalf("the result of a job that runs is shown: %s", j.Result)
		}
		number, killed = recordOf(t, s.store, job.ID)
		return strings.Contains(string(killed.Result), `"migration":`)
	})
	if killed.State != JobRunning || killed.Step != string(migrate.Backfilling) {
		t.Errorf("the record of the job is %+v", killed)
	}
	shut(t, s)

	// restart starts a server with the record that a kill would have left.
	restart := func(change func(*Job, *Training)) {
		t.Helper()
		opened, err := store.Open(t.Context(), store.Options{Dir: data, MinFreeBytes: -1})
		if err != nil {
			t.Fatal(err)
		}
		left := killed
		var result Training
		if err := json.Unmarshal(left.Result, &result); err != nil {
			t.Fatal(err)
		}
		change(&left, &result)
		if left.Result != nil {
			left.note(result)
		}
		record, err := json.Marshal(left)
		if err == nil {
			err = opened.PutJob(t.Context(), number, record)
		}
		if err = errors.Join(err, opened.Close(t.Context())); err != nil {
			t.Fatal(err)
		}
		s = open(t, data, models)
		c = collectionOf(t, s, "c")
	}
	const installed = "the model local:new was made and installed; "
	restart(func(_ *Job, r *Training) {
		if !r.Installed || r.Migration == nil || r.Migration.ID != 1 || r.HeldOut == nil || r.Fingerprint == "" {
			t.Errorf("the record of the job has the result %+v", r)
		}
	})
	saysOf(t, s, job.ID, installed+`migration 1 of "c" to it `)
	if _, kept := recordOf(t, s.store, job.ID); kept.State != JobInterrupted || !strings.Contains(kept.Error, installed) {
		t.Errorf("the record is %+v", kept)
	}
	await(t, s, c, 1, migrate.RollbackWindow)
	shut(t, s)

	// Of moments before: the model has its name, or the migration has begun, and
	// the record does not say so yet.
	restart(func(_ *Job, r *Training) { r.Migration = nil })
	if job := saysOf(t, s, job.ID, installed+`migration 1 of "c" to it is rollback_window: vecino migrate status -c c`); !strings.Contains(string(job.Result), "vecino migrate commit -c c") {
		t.Errorf("its result is %s", job.Result)
	}
	shut(t, s)
	restart(func(_ *Job, r *Training) { r.Migration, r.Installed = nil, false })
	saysOf(t, s, job.ID, installed+`migration 1 of "c" to it is rollback_window`)
	shut(t, s)
	restart(func(_ *Job, r *Training) { r.Model, r.Migration, r.Installed = "local:other", nil, false })
	saysOf(t, s, job.ID, startAgain)
	shut(t, s)
	restart(func(j *Job, _ *Training) { j.Result = nil })
	saysOf(t, s, job.ID, startAgain)
	shut(t, s)
	restart(func(_ *Job, r *Training) { r.Model, r.Migration, r.Next = "local:other", nil, "vecino migrate plan" })
	saysOf(t, s, job.ID, `the model local:other was made and installed; no migration of "c" to it had begun, so go on by: vecino migrate plan`)
	shut(t, s)
}
