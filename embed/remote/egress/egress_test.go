package egress

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCheckAddress(t *testing.T) {
	// By hand, from the registries of special-purpose addresses.
	for ip, class := range map[string]string{
		"8.8.8.8": "public", "1.1.1.1": "public", "2606:4700:4700::1111": "public", "::ffff:8.8.8.8": "public", "172.32.0.1": "public", "100.128.0.1": "public",
		"127.0.0.1": "loopback", "127.255.0.3": "loopback", "::1": "loopback", "::ffff:127.0.0.1": "loopback",
		"10.0.0.1": "private", "172.16.0.1": "private", "172.31.255.255": "private", "192.168.1.1": "private", "169.254.169.254": "private",
		"0.0.0.0": "private", "0.1.2.3": "private", "100.64.0.1": "private", "192.0.0.8": "private", "198.18.0.1": "private", "224.0.0.1": "private",
		"255.255.255.255": "private", "240.0.0.1": "private", "::": "private", "fe80::1": "private", "fc00::1": "private", "fd12::1": "private",
		"ff02::1": "private", "::ffff:10.0.0.1": "private", "64:ff9b::a00:1": "private", "2002:a00:1::": "private", "2001:0:4136::1": "private", "::10.0.0.1": "private", "fec0::1": "private",
	} {
		address := ip + ":443"
		if strings.Contains(ip, ":") {
			address = "[" + ip + "]:443"
		}
		for _, p := range []Policy{{}, {Loopback: true}, {Private: true}, {Loopback: true, Private: true}} {
			want := class == "public" || class == "loopback" && p.Loopback || class == "private" && p.Private
			if err := p.checkAddress(address); (err == nil) != want || err != nil && !errors.Is(err, ErrRefused) {
				t.Errorf("%s (%s) under %+v: %v", ip, class, p, err)
			}
		}
	}
	if err := (Policy{Loopback: true, Private: true}).checkAddress("nonsense"); !errors.Is(err, ErrRefused) {
		t.Errorf("no address: %v", err)
	}
}

func TestCheckURL(t *testing.T) {
	listed := Policy{Hosts: []string{"api.example.com", "other.example.com:8443"}}
	for text, ok := range map[string]bool{
		"https://api.example.com/x": true, "https://API.Example.com:99": true, "https://other.example.com:8443": true,
		"https://other.example.com": false, "https://api.example.com.evil.com": false, "https://evil.com/api.example.com": false,
		"ftp://api.example.com": false, "https://user@api.example.com": false, "https:///x": false, "https:api.example.com": false, "//api.example.com": false, "https://api.example.com/#x": false,
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := listed.CheckURL(u); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestTransport connects, or doesn't, to a server of this machine by its
// address and by a name.
func TestTransport(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "here") }))
	defer server.Close()
	byName := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{server.URL, byName} {
		for _, x := range []struct {
			policy Policy
			ok     bool
		}{{Policy{}, false}, {Policy{Private: true}, false}, {Policy{Loopback: true}, true}, {Policy{Trusted: []string{HostPort(u)}}, target == server.URL}} {
			transport := x.policy.Transport()
			response, err := Client(transport).Get(target)
			if (err == nil) != x.ok || err != nil && !errors.Is(err, ErrRefused) {
				t.Errorf("%s under %+v: %v", target, x.policy, err)
			}
			if err == nil {
				response.Body.Close()
			}
			transport.CloseIdleConnections()
		}
	}
}

func TestSecret(t *testing.T) {
	const key = "sk-canary-1234/5+6"
	s := Secret(key)
	text, err := json.Marshal(map[string]any{"key": s})
	if err != nil {
		t.Fatal(err)
	}
	shown := fmt.Sprintf("%v %s %q %+v %#v %x %v", s, s, s, s, s, s, struct{ K Secret }{s}) + string(text) + s.LogValue().String()
	if strings.Contains(shown, "canary") || strings.Contains(shown, fmt.Sprintf("%x", key)) {
		t.Errorf("shown: %s", shown)
	}
	redact := s.Redactor()
	for _, message := range []string{"no " + key + "!", "sk-canary-\x001234/5+6", "a " + url.QueryEscape(key), strings.Repeat(" ", 1000) + key, "\u200b" + key[:4] + "\ufeff" + key[4:]} {
		if got := redact(message); strings.Contains(got, "1234") || len(got) > 310 {
			t.Errorf("%q becomes %q", message, got)
		}
	}
	h := http.Header{}
	if s.Bearer()(h); h.Get("Authorization") != "Bearer "+key {
		t.Errorf("header %v", h)
	}
	if Secret("").Bearer()(h); h.Get("Authorization") != "Bearer "+key {
		t.Error("an empty secret changed the header")
	}
	for _, bad := range []Secret{"a b", "a\n", "ä", "\x00", Secret(strings.Repeat("x", 9<<10))} {
		if err := bad.Validate(); err == nil || strings.Contains(err.Error(), string(bad)) {
			t.Errorf("%q: %v", string(bad), err)
		}
	}
}

func TestPlain(t *testing.T) {
	for text, want := range map[string]string{
		"  two\r\n\twords ": "two words", "\x1b[31mred\x1b[0m": "[31mred[0m", "a\u202eb\u200bc\x00": "abc", "caf\xe9 é": "caf é", "": "", "123456789012345": "1234567890...",
		"12345678é0": "12345678é...",
	} {
		if got := Plain(text, 10); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
