package httpapi

import (
	"context"
	"runtime"
	"time"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/api/strictjson"
)

// dialect is the version of Qdrant's interface that is spoken: its clients
// warn when it is more than one minor version from their own.
const dialect = "1.18.0"

// root says what this is, as Qdrant's clients ask.
func (s *Server) root(context.Context, *call) (answer, error) {
	return answer{bare: map[string]string{"title": "vecino", "version": dialect, "vecino": s.version}}, nil
}

// openapi serves the document.
func (s *Server) openapi(context.Context, *call) (answer, error) {
	return answer{text: specYAML, media: "application/yaml"}, nil
}

// info says what runs here.
func (s *Server) info(ctx context.Context, _ *call) (answer, error) {
	list, err := s.service.List(ctx)
	if err != nil {
		return answer{}, err
	}
	return answer{bare: map[string]any{
		"vecino": s.version, "dialect": dialect, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH,
		"uptime_s": time.Since(s.service.Started()).Seconds(), "collections": len(list), "default_model": api.DefaultModel,
		"limits": map[string]int64{
			"body_bytes": s.maxBody, "limit": maxLimit, "offset": maxOffset, "batch_points": maxPoints, "batch_queries": maxQueries,
			"embedding_inputs": api.MaxEmbedInputs, "embedding_tokens": api.MaxEmbedTokens, "json_depth": strictjson.MaxDepth,
		},
	}}, nil
}

// healthz answers while the process runs.
func (s *Server) healthz(context.Context, *call) (answer, error) {
	return answer{text: []byte("ok\n"), media: "text/plain; charset=utf-8"}, nil
}

// readyz answers while the store does.
func (s *Server) readyz(ctx context.Context, c *call) (answer, error) {
	if _, err := s.service.List(ctx); err != nil {
		return answer{}, err
	}
	return s.healthz(ctx, c)
}
