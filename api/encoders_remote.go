package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/remote"
	"github.com/vecino-db/vecino/embed/remote/egress"
)

// Remote is a model behind an endpoint, as the operator configured it. The API
// calls it KIND:NAME. No request can make one, or change where it leads.
type Remote struct {
	Name  string
	Kind  remote.Kind
	URL   string
	Model string        // as the endpoint calls it
	Key   egress.Secret // "": none

	Dimensions int   // of its vectors; 0: what the endpoint gives
	Matryoshka []int // dimensions that the endpoint can be asked to shorten to

	QueryPrompt, DocumentPrompt string

	// Licence, Description and Source are what its model card says of the model;
	// "": not known. The endpoint says none of it.
	Licence, Description, Source string

	AllowLoopback, AllowPrivate bool // where the URL's host may lead
	Concurrency                 int  // requests at a time; 0: 4
	Timeout                     time.Duration
}

// maxCardText bounds each of what is said of a remote model, in bytes.
const maxCardText = 4 << 10

// label is the name by which the API calls it.
func (r Remote) label() string { return string(r.Kind) + ":" + r.Name }

// Validate reports the first value that can't be used.
func (r Remote) Validate() error {
	if !localName.MatchString(r.Name) {
		return fmt.Errorf("remote model: the name %.80q can't be used: begin with a letter or digit, and use letters, digits, '.', '_' and '-', at most 128", r.Name)
	}
	if r.Model == "" {
		return fmt.Errorf("remote model %s: the endpoint's name of the model is missing: give it as model", r.label())
	}
	for _, d := range r.Matryoshka {
		if d < 1 || d > compat.MaxDimension {
			return fmt.Errorf("remote model %s: it can't be shortened to %d dimensions: allowed is 1..%d", r.label(), d, compat.MaxDimension)
		}
	}
	for name, text := range map[string]string{"licence": r.Licence, "description": r.Description, "source": r.Source} {
		if len(text) > maxCardText || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return fmt.Errorf("remote model %s: its %s can't be used: give one line of at most %d bytes", r.label(), name, maxCardText)
		}
	}
	if err := r.options(EncoderOptions{Dimensions: r.Dimensions}).Validate(); err != nil {
		return fmt.Errorf("remote model %s: %w", r.label(), err)
	}
	return nil
}

// validRemotes checks each, and that no name is given twice.
func validRemotes(list []Remote) error {
	seen := map[string]bool{}
	for _, r := range list {
		if err := r.Validate(); err != nil {
			return err
		}
		if seen[r.label()] {
			return fmt.Errorf("remote model %s is configured twice: give one of them another name", r.label())
		}
		seen[r.label()] = true
	}
	return nil
}

// options are those of package remote. With a dimension nothing is sent before
// the first text.
func (r Remote) options(o EncoderOptions) remote.Options {
	out := remote.Options{
		Kind: r.Kind, BaseURL: r.URL, Model: r.Model, APIKey: r.Key, Dimensions: o.Dimensions, Lazy: o.Dimensions != 0,
		Shorten:     slices.Contains(r.Matryoshka, o.Dimensions) && o.Dimensions != r.Dimensions,
		QueryPrompt: r.QueryPrompt, DocumentPrompt: r.DocumentPrompt,
		AllowLoopback: r.AllowLoopback, AllowPrivate: r.AllowPrivate, Concurrency: r.Concurrency, Timeout: r.Timeout, Witness: true,
	}
	if o.QueryPrompt != nil {
		out.QueryPrompt = *o.QueryPrompt
	}
	if o.DocumentPrompt != nil {
		out.DocumentPrompt = *o.DocumentPrompt
	}
	return out
}

// remote finds a configured model.
func (e *Encoders) remote(model string) (Remote, bool) {
	kind, _, ok := strings.Cut(model, ":")
	if !ok || kind == "local" || kind == "builtin" {
		return Remote{}, false
	}
	i := slices.IndexFunc(e.options.Remotes, func(r Remote) bool { return r.label() == model })
	if i < 0 {
		return Remote{}, false
	}
	return e.options.Remotes[i], true
}

// dimensionOf fills in the dimension of a remote model, so that the same space
// is always asked for by the same options. The endpoint is asked once.
func (e *Encoders) dimensionOf(ctx context.Context, model string, o *EncoderOptions) error {
	r, ok := e.remote(model)
	if !ok || o.Dimensions != 0 {
		return nil
	}
	e.mu.Lock()
	known := e.dims[model]
	e.mu.Unlock()
	if o.Dimensions = max(r.Dimensions, known); o.Dimensions != 0 {
		return nil
	}
	met, err := remote.New(ctx, r.options(EncoderOptions{}))
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return endpointFailed(model, err)
	}
	o.Dimensions = met.Space().Dimension
	e.mu.Lock()
	e.dims[model] = o.Dimensions
	e.mu.Unlock()
	return met.Close()
}

// The limits of queues before endpoints, whose answers take their own time.
const (
	remoteQueryDelay  = 10 * time.Second
	remoteIngestDelay = 2 * time.Minute
)

// loadRemote makes the encoder of a remote model, whose dimension is known.
func (e *Encoders) loadRemote(ctx context.Context, model string, r Remote, o EncoderOptions) (*served, error) {
	switch {
	case o.Normalize != nil && !*o.Normalize:
		return nil, invalid("always_normalized", "", "vectors of model %q are always normalized; leave normalize out", model)
	case o.Precision != "" && o.Precision != compat.PrecisionF32:
		return nil, noPrecision(model, o.Precision)
	}
	e.mu.Lock()
	own := max(r.Dimensions, e.dims[model])
	e.mu.Unlock()
	if own != 0 && o.Dimensions != own && !slices.Contains(r.Matryoshka, o.Dimensions) {
		return nil, invalid("bad_dimension", "/embedding/dimensions", "vectors of model %q have %d dimensions, and it can be shortened to %v only", model, own, r.Matryoshka)
	}
	encoder, err := remote.New(ctx, r.options(o))
	if err != nil {
		return nil, &Error{Kind: KindInvalid, Code: "bad_option", Detail: err.Error(), Err: err}
	}
	queue := embed.SchedulerOptions{
		Workers: r.Concurrency, BatchTime: -1, Estimate: true, QueryDelay: remoteQueryDelay, IngestDelay: remoteIngestDelay,
		QueueTokens: e.options.Queue.QueueTokens, QueueRequests: e.options.Queue.QueueRequests,
	}
	if queue.Workers == 0 {
		queue.Workers = remote.DefaultConcurrency
	}
	scheduler, err := embed.NewScheduler(encoder, queue)
	if err != nil {
		return nil, errors.Join(err, encoder.Close())
	}
	return &served{Encoder: scheduler, model: model, queue: scheduler, endpoint: encoder, remote: r}, nil
}

// info adds what was configured of the model to what is known without it.
func (r Remote) info(known embed.Info) embed.Info {
	known.Matryoshka, known.Licence = r.Matryoshka, r.Licence
	if r.Description != "" {
		known.Description = r.Description + " " + known.Description
	}
	if r.Source != "" {
		known.Source = r.Source
	}
	return known
}

// describeRemote says what is known without asking the endpoint.
func (e *Encoders) describeRemote(name string, r Remote) Model {
	e.mu.Lock()
	dimension := max(r.Dimensions, e.dims[name])
	e.mu.Unlock()
	m := Model{Name: name, Info: r.info(embed.Info{
		Model: name, Kind: "remote (" + string(r.Kind) + ")",
		Description: "Sends every text to another server, which runs " + r.Model + ".",
	})}
	if dimension != 0 {
		m.Space = remote.Space(r.Kind, r.Model, dimension, r.QueryPrompt, r.DocumentPrompt)
	}
	return m
}
