package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// limited serves a handler with at most n connections and returns its address.
func limited(t *testing.T, n int, h http.Handler, change func(*http.Server)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := NewHTTPServer(h, slog.New(slog.DiscardHandler))
	if change != nil {
		change(web)
	}
	listener = LimitConnections(web, listener, n)
	listener.(*connections).grace = 20 * time.Millisecond
	done := make(chan struct{})
	go func() { defer close(done); web.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if web.Shutdown(ctx) != nil {
			web.Close()
		}
		<-done
	})
	return listener.Addr().String()
}

// dial opens a connection that ends with the test.
func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// closedSoon reports whether the other side closes the connection.
func closedSoon(c net.Conn) bool {
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, err := c.Read(make([]byte, 1))
	timeout, ok := err.(net.Error)
	return err != nil && !(ok && timeout.Timeout())
}

// TestIdleConnectionsShutNobodyOut: many more idle connections than may be
// open, and a request is answered; the oldest were closed for it.
func TestIdleConnectionsShutNobodyOut(t *testing.T) {
	address := limited(t, 16, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "here") }), nil)
	var idle []net.Conn
	for range 300 {
		idle = append(idle, dial(t, address))
	}
	c := dial(t, address)
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	answer, err := io.ReadAll(c)
	if err != nil || !strings.HasSuffix(string(answer), "here") {
		t.Fatalf("answered %q, %v", answer, err)
	}
	if !closedSoon(idle[0]) {
		t.Error("the connection that waited longest is still open")
	}
}

// TestBusyConnectionsAreKept: while all connections are at work, one more
// waits, and none is closed for it.
func TestBusyConnectionsAreKept(t *testing.T) {
	begun, finish := make(chan struct{}, 8), make(chan struct{})
	address := limited(t, 2, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		begun <- struct{}{}
		<-finish
		io.WriteString(w, "done")
	}), nil)
	var busy []net.Conn
	request := func() {
		c := dial(t, address)
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		busy = append(busy, c)
	}
	// Until a request is begun its connection counts as waiting.
	request()
	<-begun
	request()
	<-begun
	request()
	select {
	case <-begun:
		t.Error("a third request was begun on two connections")
	case <-time.After(100 * time.Millisecond):
	}
	close(finish)
	for i, c := range busy {
		if answer, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(answer), "done") {
			t.Errorf("request %d: %q, %v", i, answer, err)
		}
	}
}

// TestSlowClients: headers and bodies that don't come end after their time,
// and the server answers others meanwhile.
func TestSlowClients(t *testing.T) {
	s := start(t, t.TempDir())
	address := limited(t, 64, s.handler, func(web *http.Server) {
		web.ReadHeaderTimeout, web.ReadTimeout = 200*time.Millisecond, 400*time.Millisecond
	})
	header, body := dial(t, address), dial(t, address)
	fmt.Fprint(header, "GET /healthz HTTP/1.1\r\nHost: loc")
	fmt.Fprint(body, "PUT /collections/slow HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	other := dial(t, address)
	fmt.Fprint(other, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	if answer, err := io.ReadAll(other); err != nil || !strings.HasSuffix(string(answer), "ok\n") {
		t.Errorf("meanwhile: %q, %v", answer, err)
	}
	if !closedSoon(header) {
		t.Error("half a header holds its connection")
	}
	answer, err := http.ReadResponse(bufio.NewReader(body), nil)
	if err != nil || answer.StatusCode != http.StatusRequestTimeout {
		t.Fatalf("half a body: %+v, %v", answer, err)
	}
	answer.Body.Close()
	s.must(404, "GET", "/collections/slow", nil)
}

func TestHosts(t *testing.T) {
	for host, want := range map[string]bool{
		"": true, "localhost": true, "localhost:7747": true, "LOCALHOST.:1": true, "127.0.0.1": true, "127.0.0.1:7747": true, "127.9.9.9:1": true,
		"[::1]": true, "[::1]:7747": true, "search.example": true, "Search.Example:443": true,
		"evil.example": false, "evil.example:7747": false, "127.0.0.1.evil.example": false, "localhost.evil.example": false, "10.0.0.1": false, "[::2]:80": false,
		"search.example.evil": false, "0.0.0.0": false, "127.0.0.1@evil.example": false,
	} {
		if got := hostAllowed(host, []string{"search.example"}); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
	s := start(t, t.TempDir())
	for _, path := range []string{"/", "/collections", "/v1/models", "/metrics"} {
		req, err := http.NewRequest("GET", s.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "evil.example"
		res, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusMisdirectedRequest || !strings.Contains(string(answer), "unknown_host") || !strings.Contains(string(answer), "--host") {
			t.Errorf("%s by another name: %d %s", path, res.StatusCode, answer)
		}
	}
}
