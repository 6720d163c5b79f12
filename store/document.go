package store

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/filter"
)

// The largest parts of a document, in bytes.
const (
	MaxTextBytes    = 16 << 20
	MaxPayloadBytes = 16 << 20
)

// Document is what a collection keeps of a point beside its vector.
type Document struct {
	ID ID
	// Text is what the vector was made of. HasText tells an empty text from
	// none: points that came with a vector have none.
	Text    string
	HasText bool
	// Payload is a JSON object without insignificant spaces, or nil.
	Payload json.RawMessage
	// Version is the sequence number of the last change. Put ignores it.
	Version uint64
}

// Stored is a document as it was read.
type Stored struct {
	Document
	Vector []float32 // nil unless it was asked for
}

// Hit is one neighbour of a query.
type Hit struct {
	Stored
	Score float32 // as index.Hit
}

// ScrollQuery asks for one page of a collection in the order of ids.
type ScrollQuery struct {
	From       ID   // the first id wanted, when HasFrom is set
	HasFrom    bool // false: from the beginning
	Limit      int  // documents wanted; <= 0 gives none
	Filter     *filter.Filter
	WithVector bool
}

// SearchQuery says which neighbours are wanted. Hits are sorted nearest first.
type SearchQuery struct {
	Limit   int  // hits wanted; <= 0 gives none
	Offset  int  // nearest hits to skip; < 0 counts as 0
	Ef      int  // breadth of the graph search; 0: the manifest's default
	Exact   bool // compare everything, as it was put; see Rescoring
	Filter  *filter.Filter
	Exclude []ID // never among the hits: the point that a query names, for example
	// ScoreThreshold leaves out hits that are less near: smaller scores under
	// cosine and dot, larger ones under L2.
	ScoreThreshold *float32
	Rescoring      Rescoring
	WithVector     bool
	// Generation is searched instead of the one that answers the query's space;
	// 0: none. It may be the target of a migration, which may lack documents.
	Generation uint64
}

// SearchResult is the answer to a SearchQuery.
type SearchResult struct {
	Hits []Hit
	Plan index.Plan
	// Generation answered, all of it, and Fingerprint is its space.
	Generation  uint64
	Fingerprint compat.Fingerprint
}

// metricNearer reports whether a score passes a threshold under a metric.
func metricNearer(m compat.Metric, score, threshold float32) bool {
	if m == compat.MetricL2 {
		return score <= threshold
	}
	return score >= threshold
}

// validate refuses what would not read back as it was written.
func (d *Document) validate() error {
	switch {
	case !d.HasText && d.Text != "":
		return fmt.Errorf("%w: point %s: Text is set and HasText is not", ErrDocument, d.ID)
	case len(d.Text) > MaxTextBytes:
		return fmt.Errorf("%w: point %s: the text has %d bytes; split it below %d", ErrDocument, d.ID, len(d.Text), MaxTextBytes)
	case len(d.Payload) > MaxPayloadBytes:
		return fmt.Errorf("%w: point %s: the payload has %d bytes; the limit is %d", ErrDocument, d.ID, len(d.Payload), MaxPayloadBytes)
	case !utf8.ValidString(d.Text):
		return fmt.Errorf("%w: point %s: the text is not valid UTF-8; convert it first", ErrDocument, d.ID)
	case len(d.Payload) > 0 && (d.Payload[0] != '{' || !utf8.Valid(d.Payload) || !json.Valid(d.Payload)):
		return fmt.Errorf("%w: point %s: the payload is not a JSON object in UTF-8", ErrDocument, d.ID)
	}
	return nil
}
