package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/api/strictjson"
	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/store"
)

// Options of a Server.
type Options struct {
	Service *api.Service
	Version string       // of the program
	MaxBody int64        // bytes of a body, compressed and decompressed; 0: 64 MiB
	Hosts   []string     // names beside localhost and loopback addresses by which the server may be asked
	Logger  *slog.Logger // nil: nothing is logged
}

// DefaultMaxBody is Options.MaxBody when it is 0.
const DefaultMaxBody = 64 << 20

// Validate says what is missing or out of range.
func (o Options) Validate() error {
	switch {
	case o.Service == nil:
		return errors.New("httpapi: Options.Service is nil")
	case o.MaxBody < 0:
		return fmt.Errorf("httpapi: Options.MaxBody is %d; give 0 for the default or a number of bytes", o.MaxBody)
	}
	return nil
}

// Server answers the requests. It is safe for concurrent use.
type Server struct {
	echo    *echo.Echo
	service *api.Service
	version string
	maxBody int64
	hosts   []string
	logger  *slog.Logger
	metrics *metrics
}

// call is one request on its way through.
type call struct {
	operation  operation
	request    *http.Request
	path       map[string]string // parameters, unescaped
	body       []byte            // decompressed; nil for operations without one
	collection *api.Collection   // of the path, or the one just created

	// fingerprint and etag are of the generation that has answered; "": of the
	// one that serves.
	fingerprint, etag string

	writer http.ResponseWriter // of streams, which write their answers themselves
}

// handler answers one operation.
type handler func(s *Server, ctx context.Context, c *call) (answer, error)

// handlers are the operations of openapi.yaml by their ids.
func handlers() map[string]handler {
	return map[string]handler{
		"root": (*Server).root, "openapi": (*Server).openapi, "info": (*Server).info,
		"healthz": (*Server).healthz, "livez": (*Server).healthz, "readyz": (*Server).readyz, "metrics": (*Server).serveMetrics,
		"listCollections": (*Server).listCollections, "createCollection": (*Server).createCollection, "getCollection": (*Server).getCollection,
		"deleteCollection": (*Server).deleteCollection, "collectionExists": (*Server).collectionExists,
		"getManifest": (*Server).getManifest, "diffManifest": (*Server).diffManifest, "adoptManifest": (*Server).adoptManifest, "getHistory": (*Server).getHistory,
		"startMigration": (*Server).startMigration, "listMigrations": (*Server).listMigrations, "getMigration": (*Server).getMigration,
		"migrationReport": (*Server).migrationReport, "updateMigration": (*Server).updateMigration,
		"pauseMigration": stepOf(migrate.EventPause), "resumeMigration": stepOf(migrate.EventResume), "evaluateMigration": stepOf(migrate.EventEvaluate),
		"cutoverMigration": stepOf(migrate.EventCutOver), "rollbackMigration": stepOf(migrate.EventRollBack),
		"commitMigration": stepOf(migrate.EventCommit), "abortMigration": stepOf(migrate.EventAbort),
		"upsertPoints": (*Server).upsertPoints, "getPoints": (*Server).getPoints, "getPoint": (*Server).getPoint,
		"deletePoints": (*Server).deletePoints, "countPoints": (*Server).countPoints, "scrollPoints": (*Server).scrollPoints,
		"queryGroups":   (*Server).queryGroups,
		"updateAliases": (*Server).updateAliases, "listAliases": (*Server).listAliases, "collectionAliases": (*Server).collectionAliases,
		"setPayload": (*Server).setPayload, "overwritePayload": (*Server).overwritePayload, "deletePayload": (*Server).deletePayload, "clearPayload": (*Server).clearPayload,
		"createPayloadIndex": (*Server).createPayloadIndex, "deletePayloadIndex": (*Server).deletePayloadIndex,
		"queryPoints": (*Server).queryPoints, "queryBatchPoints": (*Server).queryBatchPoints,
		"searchPoints": (*Server).searchPoints, "searchBatchPoints": (*Server).searchBatchPoints,
		"listJobs": (*Server).listJobs, "getJob": (*Server).getJob, "deleteJob": (*Server).deleteJob,
		"ingest": (*Server).ingest, "optimizeCollection": (*Server).optimize, "trainModel": (*Server).trainModel, "measureRecall": (*Server).recall,
		"createSnapshot": (*Server).createSnapshot, "listSnapshots": (*Server).listSnapshots, "getSnapshot": (*Server).getSnapshot, "deleteSnapshot": (*Server).deleteSnapshot,
		"recoverFromSnapshot": (*Server).recoverFromSnapshot, "recoverSnapshot": (*Server).recoverSnapshot, "uploadSnapshot": (*Server).uploadSnapshot,
		"createEmbeddings": (*Server).createEmbeddings, "listModels": (*Server).listModels, "getModel": (*Server).getModel,
	}
}

// New makes the server. It listens to nothing: it is an http.Handler.
func New(o Options) (*Server, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.MaxBody == 0 {
		o.MaxBody = DefaultMaxBody
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{echo: echo.New(), service: o.Service, version: o.Version, maxBody: o.MaxBody, hosts: o.Hosts, logger: o.Logger, metrics: newMetrics(o.Service)}
	s.echo.HTTPErrorHandler = func(err error, ec echo.Context) { s.fail(ec.Response(), ec.Request(), err) }
	operations, err := loadSpec()
	if err != nil {
		return nil, err
	}
	table := handlers()
	for _, op := range operations {
		h := table[op.id]
		if h == nil {
			return nil, fmt.Errorf("openapi.yaml: the operation %s has no handler", op.id)
		}
		delete(table, op.id)
		s.echo.Add(op.route.Method, op.echoPath(), s.serve(op, h))
	}
	for id := range table {
		return nil, fmt.Errorf("openapi.yaml: the handler %s has no operation", id)
	}
	return s, nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		switch cause := recover(); cause {
		case nil:
		case http.ErrAbortHandler:
			panic(cause)
		default:
			s.logger.Error("a request made the server panic", "method", r.Method, "path", r.URL.Path, "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
			s.fail(w, r, errInternal)
		}
	}()
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if !hostAllowed(r.Host, s.hosts) {
		s.metrics.observe("none", s.fail(w, r, otherHost(r.Host)), 0)
		return
	}
	s.echo.ServeHTTP(w, r)
}

// serve wraps a handler in what all operations have in common.
func (s *Server) serve(op operation, h handler) echo.HandlerFunc {
	return func(ec echo.Context) error {
		started := time.Now()
		status := s.answer(ec, op, h, started)
		s.metrics.observe(op.id, status, time.Since(started))
		return nil
	}
}

// asks reports whether the operation is a query.
func (op operation) asks() bool {
	return strings.HasPrefix(op.id, "query") || strings.HasPrefix(op.id, "search")
}

// answer runs the operation and writes what it gave; it returns the status.
func (s *Server) answer(ec echo.Context, op operation, h handler, started time.Time) int {
	w, r := ec.Response(), ec.Request()
	c := &call{operation: op, request: r}
	if op.asks() {
		// From the end of its body to the end of its answer somebody waits for us.
		end := func() {}
		defer func() { end() }()
		query := h
		h = func(s *Server, ctx context.Context, c *call) (answer, error) {
			end = s.service.Asked()
			return query(s, ctx, c)
		}
	}
	a, err := s.run(ec, c, h)
	if a.streamed {
		return http.StatusOK
	}
	if c.collection != nil {
		if c.fingerprint == "" {
			c.fingerprint, c.etag = c.collection.Fingerprint().String(), c.collection.ETag()
		}
		w.Header().Set(headerFingerprint, c.fingerprint)
		w.Header().Set("ETag", c.etag)
	}
	if err != nil {
		return s.fail(w, r, err)
	}
	if a.fingerprint != "" {
		w.Header().Set(headerFingerprint, a.fingerprint)
	}
	return s.write(w, r, a, time.Since(started))
}

// run does everything up to the answer.
func (s *Server) run(ec echo.Context, c *call, h handler) (answer, error) {
	var err error
	if c.path, err = pathParameters(ec); err != nil {
		return answer{}, err
	}
	if err := c.operation.checkParameters(c.request, c.path); err != nil {
		return answer{}, err
	}
	ctx := c.request.Context()
	if seconds, err := strconv.Atoi(c.request.URL.Query().Get("timeout")); err == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(seconds)*time.Second)
		defer cancel()
	}
	if err := s.resolve(c); err != nil {
		return answer{}, err
	}
	if c.operation.streamed {
		c.writer = ec.Response()
	} else if c.operation.hasBody() && (c.request.ContentLength != 0 || c.operation.needsBody()) {
		if err := s.readBody(ec.Response(), c); err != nil {
			return answer{}, err
		}
	}
	return h(s, ctx, c)
}

// Limits of a body that is checked against its schema, which takes a copy of
// some 64 bytes a value. It is enough for 100,000 ids and a filter.
const (
	maxSchemaBody   = 16 << 20
	maxSchemaValues = 250_000
)

// readBody reads and checks the body.
func (s *Server) readBody(w http.ResponseWriter, c *call) (err error) {
	limit := s.maxBody
	if c.operation.schemaBody {
		limit = min(limit, maxSchemaBody)
	}
	if c.body, err = body(w, c.request, limit); err != nil {
		return err
	}
	if !c.operation.schemaBody {
		return nil
	}
	if err := strictjson.CheckValues(c.body, maxSchemaValues); err != nil {
		return err
	}
	var document any
	if err := json.Unmarshal(c.body, &document); err != nil {
		return malformed("bad_json", "", "the body can't be read: a number in it is out of range")
	}
	return c.operation.checkBody(document)
}

// pathParameters are the parameters of the path. Echo matches the escaped
// path when it differs, and then leaves them escaped.
func pathParameters(ec echo.Context) (map[string]string, error) {
	params := map[string]string{}
	for _, name := range ec.ParamNames() {
		value := ec.Param(name)
		if ec.Request().URL.RawPath != "" {
			var err error
			if value, err = url.PathUnescape(value); err != nil {
				return nil, malformed("bad_path", "", "the path can't be read: %v", err)
			}
		}
		params[name] = value
	}
	return params, nil
}

// mayLack are the operations that go on without a collection, or with one that
// can't be opened: to delete what isn't there is no failure, what is damaged
// can be deleted, and snapshots outlive it and bring it back.
var mayLack = map[string]bool{
	"deleteCollection": true, "listSnapshots": true, "getSnapshot": true, "deleteSnapshot": true,
	"recoverFromSnapshot": true, "recoverSnapshot": true, "uploadSnapshot": true,
}

// resolve finds the collection of the path and checks what the request
// expects of it. Creating and asking for existence expect nothing.
func (s *Server) resolve(c *call) error {
	name, ok := c.path["collection"]
	if !ok || c.operation.id == "createCollection" || c.operation.id == "collectionExists" {
		return nil
	}
	collection, err := s.service.Collection(name)
	if mayLack[c.operation.id] && (errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt)) {
		return nil
	}
	if err != nil {
		return err
	}
	c.collection = collection
	return preconditions(c.request, collection)
}

// NewHTTPServer makes the http.Server for a handler, with limits on what a
// slow or idle client can hold. Its requests end when it is closed.
func NewHTTPServer(h http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       2 * time.Minute,
		WriteTimeout:      10 * time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}

// isOpenAI reports whether the path speaks OpenAI's dialect.
func isOpenAI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/v1/") }
