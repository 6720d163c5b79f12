package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// serveCmd runs the server.
type serveCmd struct {
	Data     string        `help:"Data directory; made when it isn't there." default:"./vecino-data" placeholder:"DIR"`
	Listen   string        `help:"Address to listen on; loopback addresses only." default:"127.0.0.1:7747" placeholder:"HOST:PORT"`
	Models   string        `help:"Directory of local models: NAME in it is the model local:NAME." placeholder:"DIR"`
	MaxBody  byteSize      `help:"Largest body of a request, compressed or not." default:"64MiB" placeholder:"SIZE"`
	Shutdown time.Duration `help:"Time for an orderly end." default:"30s"`
	Log      string        `help:"How to log." enum:"text,json" default:"text"`
	LogLevel string        `help:"What to log." enum:"debug,info,warn,error" default:"info"`
}

// Help teaches.
func (serveCmd) Help() string {
	return `Examples:
  vecino serve
  vecino serve --data /var/lib/vecino --models /var/lib/models
  VECINO_LISTEN=127.0.0.1:8080 vecino serve --config vecino.yaml

The first Ctrl-C (or SIGTERM) lets requests in progress finish and checkpoints
the indexes; the second one ends at once. Nothing that was acknowledged is lost
either way. GET /openapi.yaml describes the interface.`
}

// Run serves until a signal comes.
func (c *serveCmd) Run(ctx context.Context, out *output) error {
	logger, err := c.logger(out)
	if err != nil {
		return err
	}
	begun := time.Now()
	server, err := startServer(ctx, serveOptions{Data: c.Data, Listen: c.Listen, Models: c.Models, MaxBody: int64(c.MaxBody), Logger: logger})
	if err != nil {
		return err
	}
	logger.Info("serving", "url", server.URL, "data", c.Data, "version", version(), "start", time.Since(begun).Round(time.Millisecond).String())
	var failed error
	select {
	case <-ctx.Done():
		logger.Info("stopping; once more to end at once")
	case failed = <-server.Failed():
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Shutdown)
	defer cancel()
	err = errors.Join(failed, server.Close(closing))
	logger.Info("stopped", "clean", err == nil)
	return err
}

// logger makes the logger of the server.
func (c *serveCmd) logger(out *output) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return nil, usageError{fmt.Errorf("--log-level: %w", err)}
	}
	options := &slog.HandlerOptions{Level: level}
	if c.Log == "json" {
		return slog.New(slog.NewJSONHandler(out.errors, options)), nil
	}
	return slog.New(slog.NewTextHandler(out.errors, options)), nil
}
