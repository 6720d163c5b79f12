package hub

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vecino-db/vecino/embed/remote/egress"
	"github.com/vecino-db/vecino/embed/remote/retry"
)

// DefaultEndpoint is the public hub.
const DefaultEndpoint = "https://huggingface.co"

// The defaults of Options.
const (
	DefaultMaxBytes    = 32 << 30
	DefaultIdleTimeout = time.Minute
)

// Options of New. The zero value pulls from the public hub without a token.
type Options struct {
	Endpoint string        // URL of the hub; "": DefaultEndpoint
	Token    egress.Secret // sent to the endpoint, and to no other host

	// Progress is told of every advance of a pull, by the goroutine that runs
	// it. nil: nobody is.
	Progress func(Progress)

	MaxBytes     int64             // of all files of a model; 0: 32 GiB
	IdleTimeout  time.Duration     // without a byte before a connection is given up; 0: 1 min
	AllowPrivate bool              // redirects may lead to private addresses: for a hub inside whose files lie on another host
	Retry        retry.Policy      // of each request
	Transport    http.RoundTripper // nil: package egress's, which checks addresses
	Clock        retry.Clock       // of the waits; zero: the real time
}

// Progress is how far a pull is.
type Progress struct {
	Path        string // the file at work
	File, Files int    // its number from 1, and how many there are
	Done, Total int64  // bytes of all files; Done counts what was there before
}

// FromEnvironment reads HF_ENDPOINT and HF_TOKEN by getenv (os.Getenv).
func FromEnvironment(getenv func(string) string) Options {
	return Options{
		Endpoint: strings.TrimSpace(getenv("HF_ENDPOINT")),
		Token:    egress.Secret(strings.TrimSpace(getenv("HF_TOKEN"))),
	}
}

// Validate reports the first value that can't be used.
func (o Options) Validate() error {
	_, err := o.endpoint()
	switch {
	case err != nil:
		return err
	case o.MaxBytes < 0 || o.IdleTimeout < 0:
		return fmt.Errorf("hub options: MaxBytes %d and IdleTimeout %v must not be negative; 0 is the default", o.MaxBytes, o.IdleTimeout)
	}
	if err := o.Token.Validate(); err != nil {
		return fmt.Errorf("HF_TOKEN: %w", err)
	}
	return o.Retry.Validate()
}

// endpoint parses the URL of the hub.
func (o Options) endpoint() (*url.URL, error) {
	text := o.Endpoint
	if text == "" {
		text = DefaultEndpoint
	}
	u, err := url.Parse(text)
	if err != nil {
		// The text of the parser's error is left out: it repeats the URL, and
		// with it a password.
		return nil, fmt.Errorf("HF_ENDPOINT is no URL: set it to one like %s", DefaultEndpoint)
	}
	if err := (egress.Policy{}).CheckURL(u); err != nil {
		return nil, fmt.Errorf("HF_ENDPOINT: %w", err)
	}
	if u.RawQuery != "" {
		return nil, fmt.Errorf("HF_ENDPOINT carries a query: set it to a URL like %s", DefaultEndpoint)
	}
	if o.Token != "" && u.Scheme == "http" && !egress.Loopback(u) {
		return nil, fmt.Errorf("HF_ENDPOINT %s is not https, and HF_TOKEN would cross the network in the clear: use https, or unset HF_TOKEN", u.Host)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = ""
	return u, nil
}

// Client pulls models from one hub. It is safe for concurrent use.
type Client struct {
	options   Options
	endpoint  *url.URL
	http      *http.Client
	authorize func(http.Header)
	redact    func(string) string
	system    system
}

// New makes a client. It sends nothing. The errors are those of
// Options.Validate.
func New(o Options) (*Client, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	endpoint, err := o.endpoint()
	if err != nil {
		return nil, err
	}
	c := &Client{endpoint: endpoint, authorize: o.Token.Bearer(), redact: o.Token.Redactor(), system: realSystem()}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = DefaultIdleTimeout
	}
	o.Clock = o.Clock.WithDefaults()
	if o.Transport == nil {
		o.Transport = egress.Policy{
			Trusted:  []string{egress.HostPort(endpoint)},
			Private:  o.AllowPrivate,
			Loopback: o.AllowPrivate,
		}.Transport()
	}
	c.http = egress.Client(o.Transport)
	o.Token = "" // what holds the client can be printed
	c.options = o
	return c, nil
}

// Close ends idle connections. Nothing may be called after it.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}
