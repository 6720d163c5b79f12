package report

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed/bridge"
	"github.com/vecino-db/vecino/embed/evaluate/compare"
)

// Report is what is known of a migration. Parts that are nil or empty were not
// measured.
type Report struct {
	Collection string    `json:"collection"`
	Migration  string    `json:"migration"` // its id
	At         time.Time `json:"at"`        // when it was measured
	Program    string    `json:"program"`   // the version of vecino that measured it

	Old Generation `json:"old"`
	New Generation `json:"new"`

	Verdict compat.Verdict  `json:"verdict"`
	Changes []compat.Change `json:"changes"`
	Gates   []Gate          `json:"gates"`

	Recall     *Recall               `json:"recall"`     // of the new index in its own space
	Latency    *Latency              `json:"latency"`    // of queries in both generations
	Judgement  *compare.Judgement    `json:"judgement"`  // by judged queries
	Agreement  *compare.Agreement    `json:"agreement"`  // without judgements
	Thresholds *compare.ThresholdMap `json:"thresholds"` // old score to new score
	Kept       *compare.Kept         `json:"kept"`       // how well such a map keeps the share of hits
	Bridge     *Bridge               `json:"bridge"`     // for queries while the old encoder is lost

	// Sample says which queries were compared: "judged queries", "sampled
	// documents", "live queries".
	Sample string `json:"sample"`
	// Reasons says of parts (by their JSON name) why they were not measured.
	Reasons map[string]string `json:"reasons,omitempty"`
}

// Generation is one build of the collection.
type Generation struct {
	Number      int                `json:"number"`
	Model       string             `json:"model"` // a label
	Fingerprint compat.Fingerprint `json:"fingerprint"`
	Dimension   int                `json:"dimension"`
	Metric      compat.Metric      `json:"metric"`
	Engine      compat.Engine      `json:"engine"`
	Encoding    compat.Encoding    `json:"encoding"`
	Points      int                `json:"points"`
	Card        string             `json:"card,omitempty"` // of the model: summary and licence
}

// GenerationOf describes a manifest.
func GenerationOf(number, points int, m compat.Manifest) Generation {
	return Generation{
		Number: number, Model: m.Provenance.Model, Fingerprint: m.Space.Fingerprint(), Dimension: m.Space.Dimension, Metric: m.Metric,
		Engine: m.Index.Engine, Encoding: m.Index.Encoding, Points: points, Card: m.Evidence.ModelCard,
	}
}

// Gate is one condition of the cut-over.
type Gate struct {
	Name     string `json:"name"`
	Passed   bool   `json:"passed"`
	Measured string `json:"measured"`
	Wanted   string `json:"wanted"`
	// Decides is false for what is reported and does not keep from cutting over.
	Decides bool `json:"decides"`
}

// Recall compares an index with exact search in its own space.
type Recall struct {
	K       int      `json:"k"`
	Ef      int      `json:"ef"`
	Queries int      `json:"queries"`
	New     float64  `json:"new"`
	Old     *float64 `json:"old"` // of the serving index; null: not measured
}

// Latency of queries, in milliseconds.
type Latency struct {
	Queries int     `json:"queries"` // of each generation
	OldP50  float64 `json:"old_p50_ms"`
	OldP99  float64 `json:"old_p99_ms"`
	NewP50  float64 `json:"new_p50_ms"`
	NewP99  float64 `json:"new_p99_ms"`
}

// Bridge is what the held-out pairs of a bridge have shown.
type Bridge struct {
	bridge.Check
	Wanted float64 `json:"recall_wanted"` // below it there is no bridge
	// Refused: there was none.
	Refused bool `json:"refused"`
}

// Passed reports whether every gate that decides has passed. Without gates it
// is false: nothing was shown.
func (r Report) Passed() bool {
	decided := false
	for _, g := range r.Gates {
		if g.Decides && !g.Passed {
			return false
		}
		decided = decided || g.Decides
	}
	return decided
}

// part is one that may be absent.
type part struct {
	name   string // in the JSON
	title  string
	absent bool
}

// parts are all of them, in the order of the report.
func (r Report) parts() []part {
	return []part{
		{"gates", "Gates", len(r.Gates) == 0},
		{"recall", "Recall of the new index in its own space", r.Recall == nil},
		{"latency", "Latency", r.Latency == nil},
		{"judgement", "Quality by judged queries", r.Judgement == nil},
		{"agreement", "Agreement of the two generations", r.Agreement == nil},
		{"thresholds", "Score thresholds", r.Thresholds == nil},
		{"kept", "How well thresholds keep the share of hits", r.Kept == nil},
		{"bridge", "Bridge", r.Bridge == nil},
	}
}

// Absence is a part that was not measured.
type Absence struct {
	Part   string `json:"part"`
	Reason string `json:"reason,omitempty"`
}

// Absent lists the parts that were not measured.
func (r Report) Absent() []Absence {
	var out []Absence
	for _, p := range r.parts() {
		if p.absent {
			out = append(out, Absence{p.name, r.Reasons[p.name]})
		}
	}
	return out
}

// MarshalJSON writes the report with what is absent from it.
func (r Report) MarshalJSON() ([]byte, error) {
	type bare Report
	return json.Marshal(struct {
		bare
		Passed bool      `json:"passed"`
		Absent []Absence `json:"absent"`
	}{bare(r), r.Passed(), r.Absent()})
}

// File is one file of a report.
type File struct {
	Name  string
	Bytes []byte
}

// Files are the report's files, the Markdown first.
func (r Report) Files() ([]File, error) {
	plots, err := r.plots()
	if err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	files := []File{{"report.md", []byte(r.markdown(plots))}, {"report.json", append(data, '\n')}}
	for _, p := range plots {
		files = append(files, File{p.file, p.svg})
	}
	return files, nil
}

// Markdown is the report for people, without links to plots.
func (r Report) Markdown() string { return r.markdown(nil) }
