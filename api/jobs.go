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
	"sync/atomic"
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
	Kind       string          `json:"kind"` // "optimize", "recall", "ingest", "train", "snapshot", "recover"
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

	began time.Time             // the step; zero: at Started
	told  *atomic.Pointer[told] // what it said of its progress last; nil: it writes Done and Total itself
}

// told is the progress of a job that runs. Telling it waits for no lock: a job
// does so from within the store, for which others may wait with jobs.mu held.
type told struct {
	step        string
	began       time.Time // the step
	done, total int
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
	group  sync.WaitGroup

	mu     sync.Mutex
	next   uint64
	list   map[uint64]*Job
	cancel map[uint64]context.CancelCauseFunc // of those that run
}

// errJobCanceled is the cause of a job's end that a user asked for.
var errJobCanceled = errors.New("canceled")

// errRequestEnded is the cause of a job's end whose request has ended.
var errRequestEnded = errors.New("the request ended before it; ask again, with wait=false for a job that goes on by itself")

// openJobs reads what is known. interrupt has to follow.
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
	}
	return j, nil
}

// interrupt marks what was running when the server was killed. found is the
// result that a job had come to, or nil.
func (j *jobs) interrupt(ctx context.Context, found func(context.Context, Job) any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for number, job := range j.list {
		if job.State != JobRunning {
			continue
		}
		now := time.Now().UTC()
		result := found(ctx, *job)
		job.note(result)
		job.State, job.Finished, job.Error = JobInterrupted, &now, stopped(result)
		j.logger.Warn("a job was interrupted when the server stopped", "job", job.ID, "kind", job.Kind, "collection", job.Collection)
		j.keep(ctx, number, *job)
	}
}

// note sets the result; nil leaves it as it is.
func (j *Job) note(result any) {
	if result == nil {
		return
	}
	if data, err := json.Marshal(result); err == nil {
		j.Result = data
	}
}

// close ends the running jobs and waits for them.
func (j *jobs) close() {
	j.mu.Lock()
	j.end()
	j.mu.Unlock()
	j.group.Wait()
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

// work is what a job does.
type work func(ctx context.Context, progress func(done, total int)) (result any, err error)

// inSteps is what a job of several steps does; its result is kept however it ends.
// keep writes what it has come to so far, for the next start of a server that is
// killed; it waits for locks and the disk, as tell does not.
type inSteps func(ctx context.Context, tell func(step string, done, total int), keep func(result any)) (result any, err error)

// steps makes it one of one step. The result of one that fails is dropped.
func (w work) steps() inSteps {
	return func(ctx context.Context, tell func(step string, done, total int), _ func(any)) (any, error) {
		result, err := w(ctx, func(done, total int) { tell("", done, total) })
		if err != nil {
			return nil, err
		}
		return result, nil
	}
}

// start begins a job of one step.
func (j *jobs) start(kind, collection string, run work) (Job, error) {
	return j.startSteps(kind, collection, run.steps())
}

// startSteps begins a job, unless one of its kind is running for the
// collection. tell says how far it is.
func (j *jobs) startSteps(kind, collection string, run inSteps) (Job, error) {
	return j.begin(kind, collection, run, func(any, error) {})
}

// attend runs a job for a request and gives what it gave. The job ends with the
// request.
func (j *jobs) attend(ctx context.Context, kind, collection string, run work) (any, error) {
	type outcome struct {
		result any
		err    error
	}
	ended := make(chan outcome, 1)
	job, err := j.begin(kind, collection, run.steps(), func(result any, err error) { ended <- outcome{result, err} })
	if err != nil {
		return nil, err
	}
	select {
	case o := <-ended:
		return o.result, o.err
	case <-ctx.Done():
	}
	j.mu.Lock()
	if number, err := j.findLocked(job.ID); err == nil && j.cancel[number] != nil {
		j.cancel[number](errRequestEnded)
	}
	j.mu.Unlock()
	o := <-ended
	if o.err != nil {
		o.err = ctx.Err()
	}
	return o.result, o.err
}

// begin begins a job; after is called when it is over and its end is written.
func (j *jobs) begin(kind, collection string, run inSteps, after func(result any, err error)) (Job, error) {
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
	job.told = &atomic.Pointer[told]{}
	j.group.Go(func() {
		last := told{began: job.Started}
		result, err := run(ctx, func(step string, done, total int) {
			if step != last.step {
				last.step, last.began = step, time.Now()
			}
			last.done, last.total = done, total
			now := last
			job.told.Store(&now)
		}, func(result any) {
			j.mu.Lock()
			defer j.mu.Unlock()
			now := job.now()
			now.ETA = nil
			now.note(result)
			j.keep(ctx, number, now)
		})
		if err != nil && errors.Is(context.Cause(ctx), errJobCanceled) {
			err = &Error{Kind: KindConflict, Code: "job_canceled", Detail: "job " + job.ID + " was ended by DELETE /jobs/" + job.ID, Remedy: "ask again", Err: err}
		}
		j.finish(ctx, number, result, err)
		after(result, err)
	})
	return job.now(), nil
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
	*j.list[number] = j.list[number].now()
	job := j.list[number]
	job.told, job.ETA = nil, nil
	cause := context.Cause(ctx)
	j.cancel[number](nil)
	delete(j.cancel, number)
	now := time.Now().UTC()
	job.Finished = &now
	job.note(result)
	switch {
	case err == nil:
		job.State, job.Done = JobDone, max(job.Done, job.Total)
	case errors.Is(cause, errJobCanceled):
		job.State = JobCanceled
	case errors.Is(cause, errRequestEnded):
		job.State, job.Error = JobInterrupted, errRequestEnded.Error()
	case errors.Is(err, errClientLeft):
		job.State, job.Error = JobInterrupted, err.Error()
	case j.ctx.Err() != nil:
		job.State, job.Error = JobInterrupted, stopped(result)
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
	if job.told != nil {
		if p := job.told.Load(); p != nil {
			job.Step, job.began, job.Done, job.Total = p.step, p.began, p.done, p.total
		}
	}
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
