// Package httpapi puts package api behind HTTP.
//
// openapi.yaml is the source of the interface: routes are made from it (an
// operation without a handler, or a handler without an operation, is an error
// of New), parameters and bodies are checked against it, and GET /openapi.yaml
// serves it. Bodies that are large or full of unions (points, queries) are
// marked x-decoded-by-hand there and checked by their decoders alone; a test
// holds the two to the same verdict.
//
// # The life of a request
//
//	route -> parameters -> collection and its preconditions -> body (size,
//	compression, media type) -> strict JSON -> schema -> decoder -> api -> answer
//
// Everything that can refuse a request cheaply comes before its body is read.
// A body is read whole, up to Options.MaxBody bytes before and after
// decompression, then decoded by package strictjson, so nothing is applied of
// a request that is wrong anywhere.
//
// # Who is answered
//
// The server listens on loopback addresses and has no authentication. A request
// whose Host is another name than localhost, a loopback address, or a
// configured one is refused with 421, because a page of another site can lead
// its own name here. GET /metrics is answered like everything else.
//
// # Errors
//
// Errors are application/problem+json (RFC 9457) with a stable code, pointers
// into the body, and a remedy; under /v1/ they have OpenAI's shape. What the
// service did not expect is logged and answered by a 500 that says nothing of
// it. No answer and no log holds a text, a vector or a stack.
package httpapi
