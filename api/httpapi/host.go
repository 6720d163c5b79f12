package httpapi

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// hostAllowed reports whether a request's Host header names this server: a
// loopback address, localhost, or one of the names that were configured, with
// any port. A page of another site can make a browser send requests here by
// pointing its own name at 127.0.0.1 (DNS rebinding); its Host header gives it
// away. A request without one comes from no browser.
func hostAllowed(host string, names []string) bool {
	if host == "" {
		return true
	}
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	if ip, err := netip.ParseAddr(name); err == nil && ip.IsLoopback() || name == "localhost" {
		return true
	}
	for _, allowed := range names {
		if name == strings.ToLower(allowed) {
			return true
		}
	}
	return false
}

// otherHost is the error for a host that is not this server's.
func otherHost(host string) error {
	return &requestError{
		status: http.StatusMisdirectedRequest, code: "unknown_host", detail: fmt.Sprintf("the server is not called %.200q", host),
		remedy: "ask it as 127.0.0.1 or localhost, or start it with --host NAME if it is reached by that name",
	}
}
