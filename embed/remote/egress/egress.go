// Package egress is the one way out of the program: it makes the HTTP clients
// of packages hub and remote, and decides which addresses they may reach.
//
// Three rules hold for every connection:
//
//   - The host of a URL is checked before the request, by CheckURL: https, or
//     http where it is allowed; no user or password in the URL; and, if there
//     is an allow-list, a host on it.
//   - The address is checked when the connection is made, after the name was
//     resolved (in the dialer's Control), so that a name that leads to an
//     address inside is refused whatever it resolved to before. Only hosts
//     that the operator configured may be private or loopback addresses.
//   - No redirect is followed by itself: the caller gets the answer 3xx and
//     decides.
//
// Proxies are those of the environment (HTTPS_PROXY, HTTP_PROXY, NO_PROXY). A
// proxy is the operator's choice and may lie at any address; what it connects
// to is then for it to check.
package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrRefused is wrapped by every error about an address that may not be
// reached.
var ErrRefused = errors.New("egress refused")

// Policy says what may be reached. The zero value allows https to every public
// address.
type Policy struct {
	// Hosts is the allow-list: "name", or "name:port". Empty: every host.
	Hosts []string
	// Trusted are hosts ("name:port") whose addresses are not checked: those
	// that the operator has configured by URL.
	Trusted []string
	// Loopback and Private allow such addresses at every host.
	Loopback, Private bool
}

// CheckURL refuses URLs that are not http or https, that carry a user, a
// fragment or no host, and hosts that are not on the allow-list.
func (p Policy) CheckURL(u *url.URL) error {
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("%w: the scheme %.20q is neither https nor http", ErrRefused, u.Scheme)
	case u.Hostname() == "":
		return fmt.Errorf("%w: the URL names no host", ErrRefused)
	case u.User != nil:
		return fmt.Errorf("%w: the URL of %s carries a user or password: give credentials by the option for them", ErrRefused, u.Host)
	case u.Fragment != "" || u.Opaque != "":
		return fmt.Errorf("%w: the URL of %s is not of the form scheme://host/path", ErrRefused, u.Host)
	}
	if len(p.Hosts) > 0 && !slices.Contains(p.Hosts, strings.ToLower(u.Hostname())) && !slices.Contains(p.Hosts, HostPort(u)) {
		return fmt.Errorf("%w: the host %s is not on the list of allowed hosts: add it there if it is meant", ErrRefused, u.Host)
	}
	return nil
}

// HostPort is the host of a URL in lower case with its port, the scheme's own
// where none is given.
func HostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "443"
		if u.Scheme == "http" {
			port = "80"
		}
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// Loopback reports whether the URL's host is written as a loopback address.
func Loopback(u *url.URL) bool {
	addr, err := netip.ParseAddr(u.Hostname())
	return strings.EqualFold(u.Hostname(), "localhost") || err == nil && addr.Unmap().IsLoopback()
}

// Transport makes the transport of the policy. It does not decompress answers,
// so that a limit on what is read is a limit on what was sent. The caller
// closes its idle connections in the end.
func (p Policy) Transport() *http.Transport {
	d := &dialer{policy: p}
	return &http.Transport{
		Proxy:                  d.proxy,
		DialContext:            d.dial,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    15 * time.Second,
		ResponseHeaderTimeout:  5 * time.Minute,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// Client is a client over a transport that follows no redirect and keeps no
// cookies.
func Client(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// dialer connects for one transport.
type dialer struct {
	policy  Policy
	proxies sync.Map // "host:port" of the proxies in use
}

// proxy asks the environment, and remembers what it said.
func (d *dialer) proxy(r *http.Request) (*url.URL, error) {
	u, err := http.ProxyFromEnvironment(r)
	if u != nil {
		d.proxies.Store(HostPort(u), true)
	}
	return u, err
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	plain := net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}
	_, isProxy := d.proxies.Load(strings.ToLower(address))
	if !isProxy && !slices.Contains(d.policy.Trusted, strings.ToLower(address)) {
		plain.Control = func(_, resolved string, _ syscall.RawConn) error { return d.policy.checkAddress(resolved) }
	}
	return plain.DialContext(ctx, network, address)
}

// checkAddress judges a resolved "ip:port".
func (p Policy) checkAddress(resolved string) error {
	at, err := netip.ParseAddrPort(resolved)
	if err != nil {
		return fmt.Errorf("%w: %q is no address", ErrRefused, resolved)
	}
	switch addr := at.Addr().Unmap().WithZone(""); {
	case addr.IsLoopback():
		if !p.Loopback {
			return fmt.Errorf("%w: %s is a loopback address: allow loopback addresses if this is meant", ErrRefused, addr)
		}
	case !public(addr) && !p.Private:
		return fmt.Errorf("%w: %s is an address of a private or special network: allow private addresses if this is meant", ErrRefused, addr)
	}
	return nil
}

// special are the networks that the Internet does not route to, or that lead
// to an IPv4 address written inside (IANA special-purpose address registries;
// RFC 6890, 6052, 3056, 4380).
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // shared by carriers
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), // NAT64
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"), // Teredo among others
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), // 6to4
	netip.MustParsePrefix("fec0::/10"),
	netip.MustParsePrefix("::/96"), // IPv4-compatible
}

// public reports whether addr is one that the Internet routes to.
func public(addr netip.Addr) bool {
	if !addr.IsGlobalUnicast() || addr.IsPrivate() {
		return false
	}
	return !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(addr) })
}
