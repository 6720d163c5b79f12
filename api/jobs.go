package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/vecino-db/vecino/store"
)

// JobState is how far a job is.
type JobState string

// The states. Every job ends in one of the last four.
const (
	JobRunning     JobState = "running"
	JobDone        JobState = "done"
	JobFailed      JobState = "failed"
	JobCanceled    JobState = "canceled"
	JobInterrupted JobState = "interrupted" // the server stopped before its end
)

// Job is work that goes on when the request that began it has been answered.
type Job struct {
	ID         string          `json:"id"`
	Kind       string          `json:"kind"` // "optimize", "recall", "ingest", "train"
	Collection string          `json:"collection"`
	State      JobState        `json:"state"`
	Step       string          `json:"step,omitempty"`  // of a job that has several
	Done       int             `json:"done"`            // of Total, in the unit of the job or of its step
	Total      int             `json:"total"`           // 0: not known yet
	ETA        *float64        `json:"eta_s,omitempty"` // seconds until the end of the job or of its step, while something is done
	Error      string          `json:"error,omitempty"`
	Result     json.RawMessage `json:"result,omitempty"`
	Started    time.Time       `json:"started_at"`
	Finished   *time.Time      `json:"finished_at,omitempty"`

	began time.Time // the step; zero: at Started
}

// keptJobs is how many jobs that have ended are remembered.
const keptJobs = 100

// runningJobs is how many may run at the same time.
const runningJobs = 16

// jobs are those of a service. What is running and how it ended is in the
// store; progress is in memory alone.
type jobs struct {
	store  *store.Store
	logger *slog.Logger
	ctx    context.Context // ends with the service
	end    context.CancelFunc
	work   sync.WaitGroup

	mu     sync.Mutex
	next   uint64
	list   map[uint64]*Job
	cancel map[uint64]context.CancelCauseFunc // of those that run
}

// errJobCanceled is the cause of a job's end that a user asked for.
var errJobCanceled = errors.New("canceled")

// openJobs reads what is known. What was running when the server stopped is
// interrupted.
func openJobs(ctx context.Context, s *store.Store, logger *slog.Logger) (*jobs, error) {
	numbers, records, err := s.Jobs(ctx)
	if err != nil {
		return nil, err
	}
	j := &jobs{store: s, logger: logger, next: 1, list: map[uint64]*Job{}, cancel: map[uint64]context.CancelCauseFunc{}}
	j.ctx, j.end = context.WithCancel(context.WithoutCancel(ctx))
	for i, number := range numbers {
		var job Job
		if err := json.Unmarshal(records[i], &job); err != nil {
			logger.Warn("the record of a job can't be read and is passed over", "job", number, "error", err)
			continue
		}
		j.list[number], j.next = &job, max(j.next, number+1)
		if job.State == JobRunning {
			now := time.Now().UTC()
			job.State, job.Finished, job.Error = JobInterrupted, &now, "the server stopped before its end; start it again"
			logger.Warn("a job was interrupted when the server stopped", "job", job.ID, "kind", job.Kind, "collection", job.Collection)
			j.keep(ctx, number, job)
		}
	}
	return j, nil
}

// close ends the running jobs and waits for them.
func (j *jobs) close() {
	j.mu.Lock()
	j.end()
	j.mu.Unlock()
	j.work.Wait()
}

// keep writes a job's record. The store says the same louder when it fails.
func (j *jobs) keep(ctx context.Context, number uint64, job Job) {
	record, err := json.Marshal(job)
	if err == nil {
		err = j.store.PutJob(context.WithoutCancel(ctx), number, record)
	}
	if err != nil {
		j.logger.Warn("the record of a job was not written", "job", job.ID, "error", err)
	}
}

// start begins a job of one step. The result of one that fails is dropped.
func (j *jobs) start(kind, collection string, run func(ctx context.Context, progress func(done, total int)) (result any, err error)) (Job, error) {
	return j.startSteps(kind, collection, func(ctx context.Context, tell func(step string, done, total int)) (any, error) {
		result, err := run(ctx, func(done, total int) { tell("", done, total) })
		if err != nil {
			return nil, err
		}
		return result, nil
	})
}

// startSteps begins a job, unless one of its kind is running for the
// collection. tell says how far it is; the result is kept however it ends.
func (j *jobs) startSteps(kind, collection string, run func(ctx context.Context, tell func(step string, done, total int)) (result any, err error)) (Job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for number := range j.cancel {
		if have := j.list[number]; have.Kind == kind && have.Collection == collection {
			return Job{}, &Error{
				Kind: KindConflict, Code: "job_running", Detail: fmt.Sprintf("collection %q has a job %s of kind %s running", collection, have.ID, kind),
				Remedy: "wait for it (GET /jobs/" + have.ID + "), or end it by DELETE /jobs/" + have.ID,
			}
		}
	}
	number, job, ctx, err := j.enterLocked(kind, collection)
	if err != nil {
		return Job{}, err
	}
	j.keep(ctx, number, *job)
	j.work.Go(func() {
		result, err := run(ctx, func(step string, done, total int) {
			j.mu.Lock()
			defer j.mu.Unlock()
			if step != job.Step {
				job.Step, job.began = step, time.Now()
			}
			job.Done, job.Total = done, total
		})
		j.finish(ctx, number, result, err)
	})
	return *job, nil
}

// enterLocked puts a job on the list. finish must follow.
func (j *jobs) enterLocked(kind, collection string) (number uint64, job *Job, ctx context.Context, err error) {
	if j.ctx.Err() != nil {
		return 0, nil, nil, store.ErrClosed
	}
	if len(j.cancel) >= runningJobs {
		return 0, nil, nil, &Error{Kind: KindOverloaded, Code: "too_many_jobs", Detail: fmt.Sprintf("%d jobs are running", len(j.cancel)), Remedy: "wait for one of them; GET /jobs lists them", RetryAfter: 10 * time.Second}
	}
	number = j.next
	j.next++
	job = &Job{ID: strconv.FormatUint(number, 10), Kind: kind, Collection: collection, State: JobRunning, Started: time.Now().UTC()}
	ctx, cancel := context.WithCancelCause(j.ctx)
	j.list[number], j.cancel[number] = job, cancel
	return number, job, ctx, nil
}

// finish notes how a job ended.
func (j *jobs) finish(ctx context.Context, number uint64, result any, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	job := j.list[number]
	cause := context.Cause(ctx)
	j.cancel[number](nil)
	delete(j.cancel, number)
	now := time.Now().UTC()
	job.Finished = &now
	if result != nil {
		if data, failed := json.Marshal(result); failed == nil {
			job.Result = data
		}
	}
	switch {
	case err == nil:
		job.State, job.Done = JobDone, max(job.Done, job.Total)
	case errors.Is(cause, errJobCanceled):
		job.State = JobCanceled
	case errors.Is(err, errClientLeft):
		job.State, job.Error = JobInterrupted, err.Error()
	case j.ctx.Err() != nil:
		job.State, job.Error = JobInterrupted, "the server stopped before its end; start it again"
	default:
		job.State, job.Error = JobFailed, err.Error()
		j.logger.Error("a job failed", "job", job.ID, "kind", job.Kind, "collection", job.Collection, "error", err)
	}
	j.keep(ctx, number, *job)
	for len(j.list)-len(j.cancel) > keptJobs {
		oldest := uint64(0)
		for number := range j.list {
			if _, runs := j.cancel[number]; !runs && (oldest == 0 || number < oldest) {
				oldest = number
			}
		}
		j.forgetLocked(ctx, oldest)
	}
}

func (j *jobs) forgetLocked(ctx context.Context, number uint64) {
	delete(j.list, number)
	if err := j.store.DeleteJob(context.WithoutCancel(ctx), number); err != nil {
		j.logger.Warn("the record of a job was not deleted", "job", number, "error", err)
	}
}

// Jobs lists the jobs that run and the last ones that ended, newest first.
func (s *Service) Jobs() []Job {
	j := s.jobs
	j.mu.Lock()
	defer j.mu.Unlock()
	all := make([]Job, 0, len(j.list))
	for _, job := range j.list {
		all = append(all, job.now())
	}
	slices.SortFunc(all, func(a, b Job) int {
		return cmp.Or(b.Started.Compare(a.Started), cmp.Compare(len(b.ID), len(a.ID)), cmp.Compare(b.ID, a.ID))
	})
	return all
}

// now is the job with its estimated end.
func (j *Job) now() Job {
	job := *j
	if job.State == JobRunning && job.Done > 0 && job.Total >= job.Done {
		began := job.Started
		if !job.began.IsZero() {
			began = job.began
		}
		eta := time.Since(began).Seconds() / float64(job.Done) * float64(job.Total-job.Done)
		job.ETA = &eta
	}
	return job
}

// Job finds one.
func (s *Service) Job(id string) (Job, error) {
	s.jobs.mu.Lock()
	defer s.jobs.mu.Unlock()
	number, err := s.jobs.findLocked(id)
	if err != nil {
		return Job{}, err
	}
	return s.jobs.list[number].now(), nil
}

func (j *jobs) findLocked(id string) (uint64, error) {
	number, err := strconv.ParseUint(id, 10, 64)
	if _, ok := j.list[number]; err != nil || !ok || strconv.FormatUint(number, 10) != id {
		return 0, &Error{Kind: KindNotFound, Code: "job_not_found", Detail: fmt.Sprintf("there is no job %.40q", id), Remedy: fmt.Sprintf("GET /jobs lists those that run and the last %d", keptJobs)}
	}
	return number, nil
}

// EndJob asks a running job to end, or forgets one that has ended, and gives it
// as it was.
func (s *Service) EndJob(ctx context.Context, id string) (Job, error) {
	j := s.jobs
	j.mu.Lock()
	defer j.mu.Unlock()
	number, err := j.findLocked(id)
	if err != nil {
		return Job{}, err
	}
	job := j.list[number].now()
	if cancel, runs := j.cancel[number]; runs {
		cancel(errJobCanceled)
	} else {
		j.forgetLocked(ctx, number)
	}
	return job, nil
}

// Optimize begins the job that makes a collection's index better.
func (s *Service) Optimize(c *Collection) (Job, error) {
	return s.jobs.start("optimize", c.Name(), func(ctx context.Context, progress func(done, total int)) (any, error) {
		before, err := s.store.Describe(ctx, c.Name())
		if err != nil {
			return nil, err
		}
		if err := c.stored.Optimize(ctx, progress); err != nil {
			return nil, err
		}
		after, err := s.store.Describe(ctx, c.Name())
		return map[string]int64{
			"memory_bytes_before": before.Index.Bytes, "memory_bytes": after.Index.Bytes,
			"deleted_before": int64(before.Index.Deleted), "deleted": int64(after.Index.Deleted),
		}, err
	})
}
