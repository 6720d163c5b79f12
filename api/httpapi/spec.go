package httpapi

import (
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

//go:embed openapi.yaml
var specYAML []byte

// operation is one operation of the document.
type operation struct {
	id    string
	path  string // as the document writes it: "/collections/{collection}"
	route *routers.Route
	// schemaBody: the body is checked against its schema before it is decoded.
	schemaBody bool
	// streamed: the handler reads the body and writes the answer itself.
	streamed bool
}

// byHand marks operations whose decoder alone checks the body.
const byHand = "x-decoded-by-hand"

// asStream marks operations that read and write streams.
const asStream = "x-streamed"

// loadSpec reads the document.
func loadSpec() ([]operation, error) {
	doc, err := openapi3.NewLoader().LoadFromData(specYAML)
	if err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	// The library compiles a schema anew for each value when it checks a 3.1
	// document; its own validator knows every keyword that the document uses,
	// and is chosen by the version that it finds here.
	doc.OpenAPI = "3.0.3"
	var operations []operation
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.OperationID == "" {
				return nil, fmt.Errorf("openapi.yaml: %s %s has no operationId", method, path)
			}
			_, hand := op.Extensions[byHand]
			_, stream := op.Extensions[asStream]
			operations = append(operations, operation{
				id: op.OperationID, path: path, schemaBody: op.RequestBody != nil && !hand && !stream, streamed: stream,
				route: &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: op},
			})
		}
	}
	return operations, nil
}

// echoPath is the path as echo's router writes it.
func (o operation) echoPath() string {
	return strings.NewReplacer("{", ":", "}", "").Replace(o.path)
}

// hasBody reports whether the operation takes a body.
func (o operation) hasBody() bool { return o.route.Operation.RequestBody != nil }

// needsBody reports whether it can't do without one.
func (o operation) needsBody() bool {
	return o.hasBody() && o.route.Operation.RequestBody.Value.Required
}

// filterOptions are the library's: the service has defaults of its own.
func filterOptions() *openapi3filter.Options {
	return &openapi3filter.Options{SkipSettingDefaults: true}
}

// checkParameters holds path, query and header to the document. Query
// parameters that it doesn't know are refused: they would be ignored wishes.
func (o operation) checkParameters(r *http.Request, path map[string]string) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return malformed("bad_parameter", "", "the query string can't be read: %v", err)
	}
	known := map[string]bool{}
	input := &openapi3filter.RequestValidationInput{Request: r, PathParams: path, QueryParams: query, Route: o.route, Options: filterOptions()}
	for _, list := range []openapi3.Parameters{o.route.PathItem.Parameters, o.route.Operation.Parameters} {
		for _, p := range list {
			known[p.Value.Name] = known[p.Value.Name] || p.Value.In == openapi3.ParameterInQuery
			if err := openapi3filter.ValidateParameter(r.Context(), input, p.Value); err != nil {
				return parameterError(p.Value, err)
			}
		}
	}
	for name, values := range query {
		if !known[name] {
			return malformed("bad_parameter", "", "unknown query parameter %.80q", name)
		}
		if len(values) > 1 {
			return malformed("bad_parameter", "", "the query parameter %q stands %d times", name, len(values))
		}
	}
	return nil
}

// parameterError says which parameter is wrong without repeating its value.
func parameterError(p *openapi3.Parameter, err error) error {
	reason := "it can't be read"
	var schema *openapi3.SchemaError
	if errors.As(err, &schema) && schema.Reason != "" {
		reason = schema.Reason
	}
	return malformed("bad_parameter", "", "the parameter %s (%s) is wrong: %s", p.Name, p.In, reason)
}

// checkBody holds a document, read by encoding/json into any, to its schema.
func (o operation) checkBody(document any) error {
	media := o.route.Operation.RequestBody.Value.Content.Get(mediaJSON)
	err := media.Schema.Value.VisitJSON(document, openapi3.VisitAsRequest())
	if err == nil {
		return nil
	}
	pointer, reason := "", "the body does not fit its schema"
	var schema *openapi3.SchemaError
	if errors.As(err, &schema) {
		pointer, reason = pointerOf(schema.JSONPointer()), schema.Reason
		if schema.Schema != nil && schema.Schema.Description != "" {
			reason += "; it says " + schema.Schema.Description
		}
	}
	return malformed("bad_request", pointer, "%s", reason)
}

// pointerOf writes a path as a JSON pointer.
func pointerOf(path []string) string {
	var b strings.Builder
	for _, key := range path {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key))
	}
	return b.String()
}
