package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vecino-db/vecino/embed/remote/egress"
	"github.com/vecino-db/vecino/embed/remote/retry"
)

const (
	maxRedirects   = 8
	maxErrorBytes  = 8 << 10
	requestTimeout = 2 * time.Minute // of a request that is no download
)

// at is a URL of the endpoint. elements are escaped one by one.
func (c *Client) at(elements ...string) *url.URL {
	u := *c.endpoint
	plain, raw := u.Path, u.EscapedPath()
	for _, e := range elements {
		plain += "/" + e
		raw += "/" + url.PathEscape(e)
	}
	u.Path, u.RawPath = plain, raw
	return &u
}

// repository is a URL under the model's own, with its two names as elements of
// the path.
func (c *Client) repository(before []string, repository string, after ...string) *url.URL {
	org, name, _ := strings.Cut(repository, "/")
	return c.at(append(append(before, org, name), after...)...)
}

// fetch sends a GET and follows redirects: to https, or to the host that sent
// the redirect by the scheme it was asked by. The token goes to the endpoint
// alone; after a redirect to another host it is not sent again. The answer has
// status 200 or 206; everything else is an error, marked for retry where
// another attempt may do better. The caller closes its body.
func (c *Client) fetch(ctx context.Context, target *url.URL, header http.Header) (*http.Response, error) {
	authorized := true
	for range maxRedirects {
		if err := (egress.Policy{}).CheckURL(target); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRedirect, err)
		}
		request := (&http.Request{Method: http.MethodGet, URL: target, Host: target.Host, Header: header.Clone()}).WithContext(ctx)
		request.Header.Set("User-Agent", "vecino")
		request.Header.Set("Accept-Encoding", "identity")
		authorized = authorized && egress.HostPort(target) == egress.HostPort(c.endpoint) && target.Scheme == c.endpoint.Scheme
		if authorized {
			c.authorize(request.Header)
		}
		response, err := c.http.Do(request)
		if err != nil {
			return nil, c.failed(ctx, target, err)
		}
		switch response.StatusCode {
		case http.StatusOK, http.StatusPartialContent:
			return response, nil
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			response.Body.Close()
			if target, err = c.redirect(target, response.Header.Get("Location")); err != nil {
				return nil, err
			}
		default:
			defer response.Body.Close()
			return nil, c.refused(response)
		}
	}
	return nil, fmt.Errorf("%w: more than %d redirects: try again later, or choose another hub", ErrRedirect, maxRedirects)
}

// redirect is where a redirect may lead to.
func (c *Client) redirect(from *url.URL, location string) (*url.URL, error) {
	to, err := from.Parse(location)
	if location == "" || err != nil {
		return nil, fmt.Errorf("%w: a redirect of %s to nowhere: try again later, or choose another hub", ErrRedirect, from.Host)
	}
	same := to.Scheme == from.Scheme && egress.HostPort(to) == egress.HostPort(from)
	if to.Scheme != "https" && !same {
		return nil, fmt.Errorf("%w: %s redirects to %.100q, which is neither https nor the same host: choose another hub", ErrRedirect, from.Host, to.Scheme+"://"+to.Host)
	}
	return to, nil
}

// failed is the error of a request that got no answer. The text of a
// *url.Error is not shown, because signed URLs are secrets too.
func (c *Client) failed(ctx context.Context, target *url.URL, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, errIdle) {
		return ctx.Err()
	}
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err
	}
	if errors.Is(err, egress.ErrRefused) {
		return fmt.Errorf("%w: %w", ErrRedirect, err)
	}
	return retry.Again(fmt.Errorf("%w: %s: %w: check the network and HF_ENDPOINT, then pull again; what has been downloaded is kept", ErrUnavailable, target.Host, err))
}

// refused is the error of an answer that is not 200.
func (c *Client) refused(response *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(response.Body, maxErrorBytes))
	message := response.Header.Get("X-Error-Message")
	if message == "" && err == nil {
		message = string(body)
	}
	says := fmt.Sprintf("%d", response.StatusCode)
	if message = c.redact(message); message != "" {
		says += ": " + message
	}
	switch code := response.Header.Get("X-Error-Code"); {
	case response.StatusCode == http.StatusNotFound, code == "RepoNotFound", code == "RevisionNotFound", code == "EntryNotFound":
		hint := ""
		if response.StatusCode == http.StatusUnauthorized {
			hint = ", or is private, which takes a token in HF_TOKEN"
		}
		return fmt.Errorf("%w (%s): check the spelling of model and revision%s", ErrNotFound, says, hint)
	case response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%w (%s): accept the model's terms on its page, and set HF_TOKEN to a token that may read it", ErrGated, says)
	case response.StatusCode == http.StatusTooManyRequests, response.StatusCode == http.StatusRequestTimeout, response.StatusCode >= 500:
		err := fmt.Errorf("%w (%s): try again later; what has been downloaded is kept", ErrUnavailable, says)
		if d, ok := retry.ParseAfter(response.Header, c.options.Clock.Now()); ok {
			return retry.After(err, d)
		}
		return retry.Again(err)
	}
	return fmt.Errorf("%w: status %s: check HF_ENDPOINT", ErrAnswer, says)
}

// read fetches a small answer whole, with retries. It returns the answer's
// headers too.
func (c *Client) read(ctx context.Context, target *url.URL, limit int64) ([]byte, http.Header, error) {
	var body []byte
	var header http.Header
	err := c.options.Retry.Do(ctx, c.options.Clock, func() error {
		ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, errIdle)
		defer cancel()
		got, err := c.fetch(ctx, target, http.Header{"Accept": {"application/json"}})
		if err != nil {
			return err
		}
		defer got.Body.Close()
		body, err = io.ReadAll(io.LimitReader(got.Body, limit+1))
		switch {
		case err != nil:
			return c.failed(ctx, target, err)
		case int64(len(body)) > limit:
			return fmt.Errorf("%w: more than %s from %s: check HF_ENDPOINT", ErrAnswer, size(limit), target.Host)
		}
		header = got.Header
		return nil
	})
	return body, header, err
}
