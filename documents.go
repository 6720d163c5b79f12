// Package vecino is the documentation of Vecino, a text-embedding and
// vector-retrieval service, as it lies in this repository: the documents of the
// top and of docs/, and the package comments. The program carries them as texts
// that are its own to show and to train on (vecino quickstart --adapt).
//
// The service itself is package api; its parts are described in
// docs/ARCHITECTURE.md.
package vecino

import "embed"

// Documents holds README.md, CHANGELOG.md, CONTRIBUTING.md, docs/*.md, and the
// doc.go of every package that has one. It can be read from several goroutines.
//
//go:embed README.md CHANGELOG.md CONTRIBUTING.md docs/*.md
//go:embed */doc.go */*/doc.go */*/*/doc.go
var Documents embed.FS
