package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/store"
)

// serveCmd runs the server.
type serveCmd struct {
	Data     string        `help:"Data directory; made when it isn't there." default:"./vecino-data" placeholder:"DIR"`
	Listen   string        `help:"Address to listen on; loopback addresses only." default:"127.0.0.1:7747" placeholder:"HOST:PORT"`
	Models   string        `help:"Directory of local models: NAME in it is the model local:NAME. ./vecino-models when it is there." placeholder:"DIR"`
	Remotes  remoteList    `help:"Models behind endpoints, as a JSON list, or under serve.remotes in the file of --config." placeholder:"JSON"`
	MaxBody  byteSize      `help:"Largest body of a request, compressed or not." default:"64MiB" placeholder:"SIZE"`
	Shutdown time.Duration `help:"Time for an orderly end." default:"30s"`
	Log      string        `help:"How to log." enum:"text,json" default:"text"`
	LogLevel string        `help:"What to log." enum:"debug,info,warn,error" default:"info"`

	Host           []string      `help:"Another name by which the server may be asked, beside localhost and loopback addresses." placeholder:"NAME"`
	MaxConnections int           `help:"Open connections; the one that is idle longest makes room for another." default:"1024"`
	Workers        int           `help:"Batches of a local model at the same time. 0: one, on all threads." default:"0"`
	Threads        int           `help:"Threads of a batch of a transformer. 0: one a core." default:"0"`
	BatchTokens    int           `help:"Tokens of a batch." default:"16384"`
	BatchTime      time.Duration `help:"Time that a batch of a local model should take at most: what an ingest waits for behind others. Queries wait for queries alone." default:"25ms"`
	QueueTokens    int           `help:"Tokens that may wait for a model, of queries and of documents each." default:"1048576"`
	QueueRequests  int           `help:"Requests that may wait for a model, of queries and of documents each." default:"512"`
	QueryDelay     time.Duration `help:"Longest time that a query may have to wait for a local model, as estimated; beyond it the answer is 429." default:"2s"`
	CacheSize      byteSize      `help:"Size of the cache of embeddings of transformers and remote models, in the data directory. 0: none." default:"1GiB" placeholder:"SIZE"`
	RecallShare    float64       `help:"Share of queries whose answers are compared with a scan in the background, for as much as 1 % of a core can do. Less than 0: none." default:"0.001"`
	ProbeEvery     time.Duration `help:"Time between comparisons of remote models with the probes of their collections." default:"1h"`

	RememberQueries bool `help:"Remember up to 2,000 of the latest queries by text of a collection, in memory alone: the evaluation of a migration asks them." default:"true" negatable:""`
}

// Help teaches.
func (serveCmd) Help() string {
	return `Examples:
  vecino serve
  vecino serve --data /var/lib/vecino --models /var/lib/models
  VECINO_LISTEN=127.0.0.1:8080 vecino serve --config vecino.yaml

A model behind an endpoint stands in the configuration, and is openai:small in
the API; kind is openai, ollama or tei:

  serve:
    remotes:
      - name: small
        kind: openai
        url: https://api.openai.com/v1
        model: text-embedding-3-small
        api_key_env: OPENAI_API_KEY

Others: dimensions, matryoshka (a list), query_prompt, document_prompt,
allow_loopback, allow_private, concurrency, timeout_s; and licence, description,
source, which make the model card that migrate start --require-card wants.
GET /metrics is served on the same address as everything else.

The first Ctrl-C (or SIGTERM) lets requests in progress finish and checkpoints
the indexes; the second one ends at once. Nothing that was acknowledged is lost
either way. GET /openapi.yaml describes the interface.`
}

// Run serves until a signal comes.
func (c *serveCmd) Run(ctx context.Context, out *output) error {
	logger, err := c.logger(out)
	if err != nil {
		return err
	}
	begun := time.Now()
	options, err := c.options(logger)
	if err != nil {
		return err
	}
	server, err := startServer(ctx, options)
	if err != nil {
		return err
	}
	logger.Info("serving", "url", server.URL, "data", c.Data, "version", version(), "start", time.Since(begun).Round(time.Millisecond).String())
	var failed error
	select {
	case <-ctx.Done():
		logger.Info("stopping; once more to end at once")
	case failed = <-server.Failed():
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Shutdown)
	defer cancel()
	err = errors.Join(failed, server.Close(closing))
	logger.Info("stopped", "clean", err == nil)
	return err
}

// options are the flags in the words of startServer.
func (c *serveCmd) options(logger *slog.Logger) (serveOptions, error) {
	o := serveOptions{
		Data: c.Data, Listen: c.Listen, Models: modelsDir(c.Models), MaxBody: int64(c.MaxBody), Logger: logger,
		Hosts: c.Host, MaxConnections: c.MaxConnections, Threads: c.Threads, CacheBytes: int64(c.CacheSize), ProbeEvery: c.ProbeEvery, RecallShare: c.RecallShare, ForgetQueries: !c.RememberQueries,
		Queue: embed.SchedulerOptions{Workers: c.Workers, Batch: embed.Budget{Tokens: c.BatchTokens}, BatchTime: c.BatchTime, QueryDelay: c.QueryDelay, QueueTokens: c.QueueTokens, QueueRequests: c.QueueRequests},
	}
	switch {
	case c.MaxBody == 0:
		return o, usageError{errors.New("--max-body is 0; give a size, as 64MiB")}
	case c.MaxConnections < 1:
		return o, usageError{fmt.Errorf("--max-connections is %d; give 1 or more", c.MaxConnections)}
	case c.Threads < 0:
		return o, usageError{fmt.Errorf("--threads is %d; give a positive number, or 0 for one a core", c.Threads)}
	case c.BatchTime <= 0:
		return o, usageError{fmt.Errorf("--batch-time is %v; give a time, as 25ms", c.BatchTime)}
	case c.QueryDelay <= 0:
		return o, usageError{fmt.Errorf("--query-delay is %v; give a time, as 2s", c.QueryDelay)}
	case c.ProbeEvery <= 0:
		return o, usageError{fmt.Errorf("--probe-every is %v; give a time, as 1h", c.ProbeEvery)}
	case c.CacheSize != 0 && int64(c.CacheSize) < store.MinCacheBytes:
		return o, usageError{fmt.Errorf("--cache-size is %d bytes; give %d or more, or 0 for no cache", c.CacheSize, store.MinCacheBytes)}
	}
	if err := o.Queue.Validate(); err != nil {
		return o, usageError{err}
	}
	var err error
	o.Remotes, err = c.Remotes.models()
	return o, err
}

// defaultModels is where models are pulled to, and found, unless another
// directory is named.
const defaultModels = "./vecino-models"

// modelsDir is the directory of models that is meant by a flag; "": there are
// none.
func modelsDir(flag string) string {
	if flag != "" {
		return flag
	}
	if info, err := os.Stat(defaultModels); err == nil && info.IsDir() {
		return defaultModels
	}
	return ""
}

// logger makes the logger of the server.
func (c *serveCmd) logger(out *output) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return nil, usageError{fmt.Errorf("--log-level: %w", err)}
	}
	options := &slog.HandlerOptions{Level: level}
	if c.Log == "json" {
		return slog.New(slog.NewJSONHandler(out.errors, options)), nil
	}
	return slog.New(slog.NewTextHandler(out.errors, options)), nil
}
