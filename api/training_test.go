package api

import (
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
	if job, err := s.Job(job.ID); err != nil || job.State != JobInterrupted || job.Error == "" {
		t.Errorf("after a restart the job is %+v, %v", job, err)
	}
	await(t, s, c, 2, migrate.RollbackWindow)
	if got := c.Manifest().Provenance.Model; got != "local:second" {
		t.Errorf("the collection is served by %s", got)
	}
}
