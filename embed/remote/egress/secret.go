package egress

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
)

// Secret is a key or token. However it is printed, logged or marshalled, it
// comes out as "[secret]", or "" when there is none.
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "[secret]"
}

// GoString hides the secret.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// LogValue hides the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Validate refuses what can't stand in a header. The error does not show the
// secret.
func (s Secret) Validate() error {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return errors.New("the key or token has a space, line end or other character that no key has: set it again, without quotes or line ends")
		}
	}
	if len(s) > 8<<10 {
		return errors.New("the key or token is longer than 8 KiB: set it again")
	}
	return nil
}

// Bearer gives a function that authorizes requests by the secret, and nothing
// for an empty one. A function, because what holds it can be printed without
// showing it.
func (s Secret) Bearer() func(http.Header) {
	if s == "" {
		return func(http.Header) {}
	}
	value := "Bearer " + string(s)
	return func(h http.Header) { h.Set("Authorization", value) }
}

// maxForeign bounds a message of another server that is shown, in bytes.
const maxForeign = 300

// Redactor gives a function that makes a message of another server fit to be
// shown: cut to 300 bytes, on one line, without control characters, and
// without the secret, should the server have repeated it.
func (s Secret) Redactor() func(string) string {
	secret := string(s)
	return func(message string) string {
		// Plain comes first, so that characters it leaves out can't hide the
		// secret from the search.
		message = Plain(message, 1<<16)
		if secret != "" {
			message = strings.ReplaceAll(message, secret, "[secret]")
			message = strings.ReplaceAll(message, url.QueryEscape(secret), "[secret]")
		}
		return Plain(message, maxForeign)
	}
}
