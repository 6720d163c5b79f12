package remote

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed/remote/egress"
	"github.com/vecino-db/vecino/embed/remote/retry"
)

// Kind is the protocol of an endpoint.
type Kind string

// The kinds.
const (
	KindOpenAI Kind = "openai" // POST /v1/embeddings
	KindOllama Kind = "ollama" // POST /api/embed
	KindTEI    Kind = "tei"    // text-embeddings-inference: POST /embed, /tokenize; GET /info
)

// The defaults of Options.
const (
	DefaultMaxTexts    = 128
	DefaultTEITexts    = 32 // what text-embeddings-inference takes unless it says otherwise
	DefaultMaxTokens   = 100_000
	DefaultMaxText     = 8 << 20
	DefaultConcurrency = 4
	DefaultTimeout     = time.Minute
	DefaultFailures    = 5
	DefaultCooldown    = 30 * time.Second
)

// Options of New. Kind and BaseURL must be given, and Model except for
// text-embeddings-inference.
type Options struct {
	Kind    Kind
	BaseURL string        // "https://host" or "https://host/path"; for OpenAI's with or without /v1 at its end
	Model   string        // as the endpoint calls it
	APIKey  egress.Secret // sent as a bearer token; "": none

	// Dimensions is the number of floats that a vector must have; 0: what the
	// endpoint gives. With Shorten the endpoint is asked to cut its vectors to
	// it, which only models trained for it can.
	Dimensions int
	Shorten    bool

	QueryPrompt, DocumentPrompt string // put before the texts of each role

	Truncate       bool // let the endpoint cut texts that are too long
	EstimateTokens bool // never ask for numbers of tokens
	// Witness sends a text more in each request, whose vector tells whether the
	// model behind the name is still the one that answered before; see Epoch.
	Witness bool
	// Lazy makes New send nothing, so that an endpoint that is down is no
	// error yet. Model and Dimensions must be given.
	Lazy bool

	AllowHosts    []string // "name" or "name:port"; if any, BaseURL's host must be among them
	AllowLoopback bool     // the host may resolve to this machine
	AllowPrivate  bool     // the host may resolve to private networks

	MaxTexts    int           // of a request; 0: 128, or what text-embeddings-inference states
	MaxTokens   int           // of a request, as estimated; 0: 100,000
	MaxText     int           // bytes of one text; 0: 8 MiB
	Concurrency int           // requests at a time; 0: 4
	Timeout     time.Duration // of one request; 0: 1 min
	Failures    int           // requests in a row that open the breaker; 0: 5
	Cooldown    time.Duration // that it stays open; 0: 30 s

	Retry     retry.Policy
	Clock     retry.Clock       // zero: the real time
	Transport http.RoundTripper // nil: package egress's, which checks addresses
}

// Validate reports the first value that can't be used.
func (o Options) Validate() error {
	if o.Kind != KindOpenAI && o.Kind != KindOllama && o.Kind != KindTEI {
		return fmt.Errorf("remote encoder: the kind %.40q is unknown: use %q, %q or %q", string(o.Kind), KindOpenAI, KindOllama, KindTEI)
	}
	if _, err := o.base(); err != nil {
		return err
	}
	if err := o.APIKey.Validate(); err != nil {
		return fmt.Errorf("remote encoder: %w", err)
	}
	switch {
	case o.Model == "" && (o.Kind != KindTEI || o.Lazy), len(o.Model) > 256, !utf8.ValidString(o.Model), egress.Plain(o.Model, 256) != o.Model:
		return fmt.Errorf("remote encoder: the model %.40q is no name: give it as the endpoint calls it", o.Model)
	case o.Dimensions < 0 || o.Dimensions > compat.MaxDimension:
		return fmt.Errorf("remote encoder: %d dimensions: allowed is 1..%d, or 0 for the model's own", o.Dimensions, compat.MaxDimension)
	case o.Dimensions == 0 && (o.Shorten || o.Lazy):
		return fmt.Errorf("remote encoder: Dimensions must be given with Shorten or Lazy")
	case max(len(o.QueryPrompt), len(o.DocumentPrompt)) > compat.MaxPromptBytes || !utf8.ValidString(o.QueryPrompt) || !utf8.ValidString(o.DocumentPrompt):
		return fmt.Errorf("remote encoder: a prompt is longer than %d bytes or no UTF-8: shorten it", compat.MaxPromptBytes)
	case min(o.MaxTexts, o.MaxTokens, o.MaxText, o.Concurrency, o.Failures) < 0 || min(o.Timeout, o.Cooldown) < 0:
		return fmt.Errorf("remote encoder: limits and times must not be negative: 0 is the default")
	case max(o.MaxTexts, o.Concurrency) > 1<<16 || o.MaxText > 1<<30:
		return fmt.Errorf("remote encoder: at most 65,536 texts of a request and requests at a time, and 1 GiB of a text")
	}
	return o.Retry.Validate()
}

// base parses BaseURL.
func (o Options) base() (*url.URL, error) {
	u, err := url.Parse(o.BaseURL)
	if err != nil || o.BaseURL == "" {
		// The parser's error repeats the URL, and with it a password.
		return nil, fmt.Errorf("remote encoder: the URL can't be read: give one like https://host or https://host/v1")
	}
	hosts := make([]string, len(o.AllowHosts))
	for i, h := range o.AllowHosts {
		hosts[i] = strings.ToLower(h)
	}
	if err := (egress.Policy{Hosts: hosts}).CheckURL(u); err != nil {
		return nil, fmt.Errorf("remote encoder: %w", err)
	}
	if u.RawQuery != "" {
		return nil, fmt.Errorf("remote encoder: the URL of %s carries a query: give it without", u.Host)
	}
	if o.APIKey != "" && u.Scheme == "http" && !egress.Loopback(u) && !o.AllowPrivate {
		return nil, fmt.Errorf("remote encoder: the URL of %s is not https, and the key would cross the network in the clear: use https, or allow private addresses if the network is yours", u.Host)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = ""
	return u, nil
}

// withDefaults fills in what is zero.
func (o Options) withDefaults() Options {
	fill(&o.MaxTokens, DefaultMaxTokens)
	fill(&o.MaxText, DefaultMaxText)
	fill(&o.Concurrency, DefaultConcurrency)
	fill(&o.Timeout, DefaultTimeout)
	fill(&o.Failures, DefaultFailures)
	fill(&o.Cooldown, DefaultCooldown)
	o.Clock = o.Clock.WithDefaults()
	return o
}

func fill[T comparable](p *T, value T) {
	var zero T
	if *p == zero {
		*p = value
	}
}
