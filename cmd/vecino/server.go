package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/api/httpapi"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/store"
)

// serveOptions is what a server needs to run.
type serveOptions struct {
	Data    string       // data directory; made when it isn't there, unless Existing
	Listen  string       // host:port on a loopback interface; port 0 picks a free one
	Models  string       // directory of local models; "" for none
	MaxBody int64        // bytes of a request's body, decompressed; 0: httpapi's default
	Logger  *slog.Logger // nil: nothing is logged

	Existing       bool     // refuse a data directory without a store
	Hosts          []string // as httpapi.Options.Hosts
	MaxConnections int      // 0: 1,024

	// As in api.Options.
	Remotes    []api.Remote
	Queue      embed.SchedulerOptions
	Threads    int
	CacheBytes int64
	ProbeEvery time.Duration
	// ForgetQueries: as api.Options.ForgetQueries.
	ForgetQueries bool

	RecallShare float64 // as store.Options.RecallShare
}

// defaultMaxConnections is serveOptions.MaxConnections when it is 0.
const defaultMaxConnections = 1024

// runningServer is a server that accepts requests until Close.
type runningServer struct {
	URL string // "http://127.0.0.1:7747"

	http    *http.Server
	service *api.Service
	failed  chan error // receives at most one error: the listener broke
}

// startServer opens the store and its collections and begins to accept
// requests. The context bounds the start, not the life of the server.
func startServer(ctx context.Context, o serveOptions) (*runningServer, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := loopbackOnly(o.Listen); err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w; is another vecino running? choose another address by --listen", o.Listen, err)
	}
	service, err := openService(ctx, o)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	handler, err := httpapi.New(httpapi.Options{Service: service, Version: version(), MaxBody: o.MaxBody, Hosts: o.Hosts, Logger: o.Logger})
	if err != nil {
		return nil, errors.Join(err, service.Close(ctx), listener.Close())
	}
	s := &runningServer{
		URL:     "http://" + listener.Addr().String(),
		http:    httpapi.NewHTTPServer(handler, o.Logger),
		service: service,
		failed:  make(chan error, 1),
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = defaultMaxConnections
	}
	listener = httpapi.LimitConnections(s.http, listener, o.MaxConnections)
	go func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
		close(s.failed)
	}()
	return s, nil
}

// Failed receives an error when the server can accept no more requests, and
// is closed after Close.
func (s *runningServer) Failed() <-chan error { return s.failed }

// drainShare is the part of Close's time that requests in progress may take;
// the rest belongs to the checkpoint.
const drainShare = 0.5

// Close stops accepting, lets requests in progress finish, cuts off those that
// take more than half of the context's time, then checkpoints and closes the
// store. Every acknowledged write is durable whether or not it succeeds.
func (s *runningServer) Close(ctx context.Context) error {
	drain := ctx
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		drain, cancel = context.WithTimeout(ctx, time.Duration(drainShare*float64(time.Until(deadline))))
		defer cancel()
	}
	err := s.http.Shutdown(drain)
	if err != nil {
		err = errors.Join(fmt.Errorf("requests cut off at shutdown: %w", err), s.http.Close())
	}
	return errors.Join(err, s.service.Close(ctx))
}

// openService opens the store of o.Data and everything in it.
func openService(ctx context.Context, o serveOptions) (*api.Service, error) {
	opened, err := store.Open(ctx, store.Options{Dir: o.Data, Create: !o.Existing, Logger: o.Logger, RecallShare: o.RecallShare})
	if err != nil {
		return nil, err
	}
	service, err := api.New(ctx, api.Options{
		Store: opened, Models: o.Models, Program: "vecino " + version(), Logger: o.Logger,
		Remotes: o.Remotes, Queue: o.Queue, Threads: o.Threads, CacheBytes: o.CacheBytes, ProbeEvery: o.ProbeEvery, ForgetQueries: o.ForgetQueries,
	})
	if err != nil {
		return nil, errors.Join(err, opened.Close(ctx))
	}
	return service, nil
}

// loopbackOnly refuses an address that other machines can reach: whoever
// reaches the server may read and change everything in it.
func loopbackOnly(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return usageError{fmt.Errorf("--listen %q: %w; write it as 127.0.0.1:7747", address, err)}
	}
	if ip, err := netip.ParseAddr(host); host == "localhost" || err == nil && ip.IsLoopback() {
		return nil
	}
	return usageError{fmt.Errorf("--listen %q: vecino listens on loopback addresses only, because a server without authentication is open to whoever reaches it; "+
		"listen on 127.0.0.1 and put a reverse proxy that authenticates in front of it", address)}
}
