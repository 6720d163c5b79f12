package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Tests that end a server the hard way run the test binary as their child: with
// childVariable set it is the program itself.
const childVariable = "VECINO_TEST_CHILD"

// childServer is a server in a process of its own, at an address that stays
// over restarts.
type childServer struct {
	t    *testing.T
	url  string
	args []string

	cmd  *exec.Cmd
	log  *tailWriter
	done chan error
}

// tailWriter keeps the end of what is written.
type tailWriter struct {
	mu  sync.Mutex
	end []byte
}

// Write implements io.Writer.
func (w *tailWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.end = append(w.end, b...); len(w.end) > 16<<10 {
		w.end = bytes.Clone(w.end[len(w.end)-8<<10:])
	}
	return len(b), nil
}

// String is what was kept.
func (w *tailWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.end)
}

// newChildServer picks a free address and starts a server over a directory.
func newChildServer(t *testing.T, data string, args ...string) *childServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := &childServer{t: t, url: "http://" + address, log: &tailWriter{}}
	s.args = append([]string{"serve", "--data", data, "--listen", address, "--log-level", "warn"}, args...)
	s.start()
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("the end of the server's log:\n%s", s.log)
		}
	})
	return s
}

// start runs the server and waits until it is ready.
func (s *childServer) start() {
	s.t.Helper()
	s.cmd = exec.Command(os.Args[0], s.args...)
	s.cmd.Env = append(os.Environ(), childVariable+"=1")
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.done = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan error) { done <- cmd.Wait() }(s.cmd, s.done)
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		select {
		case err := <-s.done:
			s.cmd = nil
			s.t.Fatalf("the server ended at its start: %v\n%s", err, s.log)
		default:
		}
		if r, err := client.Get(s.url + "/readyz"); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return
			}
		}
	}
	s.t.Fatalf("the server is not ready after a minute\n%s", s.log)
}

// kill is kill -9, and waits for the end.
func (s *childServer) kill() {
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		fmt.Fprintln(os.Stderr, "kill:", err)
	}
	<-s.done
	s.cmd = nil
}
