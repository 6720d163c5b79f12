package httpapi

import (
	"container/list"
	"net"
	"net/http"
	"sync"
	"time"
)

// connections is a listener that keeps at most a number of connections open.
// When one more comes, the connection that has waited for a request longest is
// closed for it, if it has waited for grace at least; until then, and while all
// are at work, the new one waits to be accepted. So clients that hold
// connections and send nothing, however many, shut nobody out, and a request
// that is on its way is not cut off.
type connections struct {
	net.Listener
	most  int
	grace time.Duration

	mu     sync.Mutex
	room   sync.Cond // a connection was closed, or the listener
	open   int       // accepted and not closed
	idle   list.List // of *connection, the one that waits longest first
	closed bool
}

// idleGrace is how long a connection may wait for its request before it can be
// closed for another one.
const idleGrace = 250 * time.Millisecond

// LimitConnections makes s keep at most n connections of the listener open.
// s.Serve must be called with the listener that it returns. It uses
// s.ConnState.
func LimitConnections(s *http.Server, l net.Listener, n int) net.Listener {
	c := &connections{Listener: l, most: n, grace: idleGrace}
	c.room.L = &c.mu
	s.ConnState = c.state
	return c
}

// Accept implements net.Listener.
func (c *connections) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.open >= c.most && !c.closed {
		if !c.dropLocked() {
			c.room.Wait()
		}
	}
	if c.closed {
		conn.Close()
		return nil, net.ErrClosed
	}
	c.open++
	return &connection{Conn: conn, of: c}, nil
}

// dropLocked closes the connection that has waited longest, if it has waited
// for long enough; otherwise it wakes Accept when that is so. The server, which
// reads from it, notices and closes it too.
func (c *connections) dropLocked() bool {
	front := c.idle.Front()
	if front == nil {
		return false
	}
	oldest := front.Value.(*connection)
	if left := c.grace - time.Since(oldest.since); left > 0 {
		time.AfterFunc(left, func() {
			c.mu.Lock() // Accept has begun to wait
			defer c.mu.Unlock()
			c.room.Signal()
		})
		return false
	}
	c.idle.Remove(front)
	oldest.place = nil
	oldest.releaseLocked()
	oldest.Conn.Close()
	return true
}

// Close implements net.Listener.
func (c *connections) Close() error {
	c.mu.Lock()
	c.closed = true
	c.room.Broadcast()
	c.mu.Unlock()
	return c.Listener.Close()
}

// state is told of every connection by the server: one waits for a request
// while it is new or idle.
func (c *connections) state(conn net.Conn, state http.ConnState) {
	own, ok := conn.(*connection)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if own.place != nil {
		c.idle.Remove(own.place)
		own.place = nil
	}
	if (state == http.StateNew || state == http.StateIdle) && !own.released {
		own.place, own.since = c.idle.PushBack(own), time.Now()
		c.room.Signal()
	}
}

// connection is one of them.
type connection struct {
	net.Conn
	of *connections

	// Guarded by of.mu.
	place    *list.Element // among those that wait; nil: it is at work
	since    time.Time     // that it waits
	released bool          // its room was given back
}

// releaseLocked gives its room back, once.
func (c *connection) releaseLocked() {
	if !c.released {
		c.released = true
		c.of.open--
		c.of.room.Signal()
	}
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.of.mu.Lock()
	c.releaseLocked()
	c.of.mu.Unlock()
	return c.Conn.Close()
}
