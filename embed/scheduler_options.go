package embed

import (
	"fmt"
	"runtime"
	"time"
)

// SchedulerOptions bound what a Scheduler does at a time and lets wait. The
// zero value means the defaults.
type SchedulerOptions struct {
	// Workers is the number of batches that are encoded at the same time. 0:
	// GOMAXPROCS, for encoders that use one core for a batch. An encoder that
	// spreads a batch over all cores wants 1; a remote one, as many requests
	// as its server takes at once.
	Workers int
	// Batch bounds a batch; 0: the defaults of Budget.
	Batch Budget
	// BatchTime is how long a batch should take at most: it is what a small
	// request waits for behind others. The token budget follows it by the measured
	// speed, from 256 tokens up to Batch.Tokens. 0: 100 ms. Negative:
	// Batch alone counts, as it should where a batch's time hardly depends on
	// its size (remote encoders).
	BatchTime time.Duration
	// Traffic is what is under way in the program; nil: nothing but this
	// scheduler's own work is known. Without effect where BatchTime is negative.
	Traffic *Traffic
	// Estimate takes a quarter of a text's bytes for its tokens, in place of
	// asking the encoder: for a remote one, which may have to ask its server.
	Estimate bool
	// QueueTokens and QueueRequests bound what waits of one priority. 0: a
	// million tokens and 512 requests.
	QueueTokens   int
	QueueRequests int
	// QueryDelay and IngestDelay are the longest times to an answer, estimated
	// by the measured speed, that a query and an ingest are let into. 0: 0.5 s
	// and 30 s. They want to be some times the encoder's own time for a batch.
	QueryDelay  time.Duration
	IngestDelay time.Duration
}

// The defaults of SchedulerOptions.
const (
	defaultBatchTime     = 100 * time.Millisecond
	defaultQueueTokens   = 1 << 20
	defaultQueueRequests = 512
	defaultQueryDelay    = 500 * time.Millisecond
	defaultIngestDelay   = 30 * time.Second
)

// The token budget by time. Below leastTokens the kernels are not busy;
// firstTokens is the budget before any speed was measured.
const (
	leastTokens = 256
	firstTokens = 512
)

// Validate refuses what is negative, but for BatchTime.
func (o SchedulerOptions) Validate() error {
	if err := o.Batch.Validate(); err != nil {
		return err
	}
	if o.Workers < 0 || o.QueueTokens < 0 || o.QueueRequests < 0 || o.QueryDelay < 0 || o.IngestDelay < 0 {
		return fmt.Errorf("scheduler of %d workers, a queue of %d tokens and %d requests, delays of %v and %v: want positive values, or 0 for the defaults",
			o.Workers, o.QueueTokens, o.QueueRequests, o.QueryDelay, o.IngestDelay)
	}
	return nil
}

// withDefaults is o with its zero fields filled.
func (o SchedulerOptions) withDefaults() SchedulerOptions {
	o.Batch = o.Batch.withDefaults()
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.BatchTime == 0 {
		o.BatchTime = defaultBatchTime
	}
	if o.QueueTokens == 0 {
		o.QueueTokens = defaultQueueTokens
	}
	if o.QueueRequests == 0 {
		o.QueueRequests = defaultQueueRequests
	}
	if o.QueryDelay == 0 {
		o.QueryDelay = defaultQueryDelay
	}
	if o.IngestDelay == 0 {
		o.IngestDelay = defaultIngestDelay
	}
	return o
}
