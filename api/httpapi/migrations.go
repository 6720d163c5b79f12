package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/api/report"
	"github.com/vecino-db/vecino/api/strictjson"
	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/embed/evaluate"
)

// migrationRecord is a migration as clients see it.
type migrationRecord struct {
	ID          string           `json:"id"`
	Collection  string           `json:"collection"`
	State       migrate.State    `json:"state"`
	Reason      string           `json:"reason,omitempty"`
	Waiting     string           `json:"waiting,omitempty"`
	Verdict     compat.Verdict   `json:"verdict"`
	Changes     []compat.Change  `json:"changes"`
	From        uint64           `json:"from_generation"`
	To          uint64           `json:"to_generation"`
	Auto        bool             `json:"auto"`
	RequireCard bool             `json:"require_card"`
	Limits      migrate.Limits   `json:"limits"`
	Progress    migrate.Progress `json:"progress"`
	StartedAt   time.Time        `json:"started_at"`
	EndedAt     *time.Time       `json:"ended_at"`
	Steps       []migrate.Step   `json:"steps"`
	Gates       json.RawMessage  `json:"gates"`
	Bridge      json.RawMessage  `json:"bridge"`     // api.BridgeRecord; null where none was asked for
	Shadow      *api.Shadow      `json:"shadow"`     // null where none was asked for
	Canary      *api.Canary      `json:"canary"`     // likewise
	Evaluation  json.RawMessage  `json:"evaluation"` // a report; null before the first
}

// migrationOf is a record for clients; whole keeps its evaluation.
func migrationOf(m migrate.Migration, whole bool) migrationRecord {
	r := migrationRecord{
		ID: strconv.FormatUint(m.ID, 10), Collection: m.Collection, State: m.State, Reason: m.Reason, Waiting: m.Waiting, Verdict: m.Verdict, Changes: m.Changes,
		From: m.From, To: m.To, Auto: m.Auto, RequireCard: m.RequireCard, Limits: m.Limits, Progress: m.Progress, StartedAt: m.StartedAt, EndedAt: m.EndedAt, Steps: m.Steps, Bridge: m.Bridge,
		Gates: json.RawMessage("[]"),
	}
	if r.Changes == nil {
		r.Changes = []compat.Change{}
	}
	var gates struct{ Gates json.RawMessage }
	if json.Unmarshal(m.Evaluation, &gates) == nil && len(gates.Gates) > 0 && string(gates.Gates) != "null" {
		r.Gates = gates.Gates
	}
	// What was kept can be read, or the migration would not be open; of one that
	// has ended the figures are all that is lost.
	r.Shadow, r.Canary, _ = api.LiveOf(m)
	if whole {
		r.Evaluation = m.Evaluation
	} else if r.Shadow != nil {
		r.Shadow.Thresholds = nil
	}
	return r
}

// startMigration starts one.
func (s *Server) startMigration(ctx context.Context, c *call) (answer, error) {
	w, err := decodeMigration(c.body)
	if err != nil {
		return answer{}, err
	}
	m, err := s.service.Migrate(ctx, c.collection, w)
	if err != nil {
		return answer{}, err
	}
	return answer{result: migrationOf(m, true), status: http.StatusCreated}, nil
}

// listMigrations lists them, the newest first.
func (s *Server) listMigrations(ctx context.Context, c *call) (answer, error) {
	list, err := s.service.Migrations(ctx, c.collection)
	if err != nil {
		return answer{}, err
	}
	records := make([]migrationRecord, 0, len(list))
	for _, m := range list {
		records = append(records, migrationOf(m, false))
	}
	return answer{result: map[string]any{"migrations": records}}, nil
}

// migrationID is the number in the path.
func migrationID(c *call) (uint64, error) {
	id, err := strconv.ParseUint(c.path["migration"], 10, 64)
	if err != nil {
		return 0, &api.Error{
			Kind: api.KindNotFound, Code: "migration_not_found", Detail: fmt.Sprintf("%.40q is no migration", c.path["migration"]),
			Remedy: "GET /collections/" + c.collection.Name() + "/migrations lists those there are",
		}
	}
	return id, nil
}

// getMigration gives one.
func (s *Server) getMigration(ctx context.Context, c *call) (answer, error) {
	id, err := migrationID(c)
	if err != nil {
		return answer{}, err
	}
	m, err := s.service.Migration(ctx, c.collection, id)
	if err != nil {
		return answer{}, err
	}
	return answer{result: migrationOf(m, true)}, nil
}

// updateMigration changes its limits, and what one does with live queries.
func (s *Server) updateMigration(ctx context.Context, c *call) (answer, error) {
	id, err := migrationID(c)
	if err != nil {
		return answer{}, err
	}
	u, err := decodeMigrationUpdate(c.body)
	if err != nil {
		return answer{}, err
	}
	m, err := s.service.UpdateMigration(ctx, c.collection, id, u)
	if err != nil {
		return answer{}, err
	}
	return answer{result: migrationOf(m, true)}, nil
}

// decodeMigrationUpdate reads what changes.
func decodeMigrationUpdate(data []byte) (api.MigrationUpdate, error) {
	var u api.MigrationUpdate
	err := strictjson.Decode(data, func(r *strictjson.Reader) error {
		return fields(r, map[string]func() error{
			"shadow": share(r, &u.Shadow), "canary": share(r, &u.Canary), "limits": limits(r, &u.Limits, 0),
		})
	})
	return u, err
}

// limits makes the decoder of a migration's limits; least is the least whole
// number that they take, 0 where that removes one.
func limits(r *strictjson.Reader, u *api.LimitsUpdate, least int) func() error {
	whole := func(to **int, most int) func() error {
		return optional(r, func() error {
			*to = new(int)
			return integer(r, *to, least, most)()
		})
	}
	return optional(r, func() error {
		return fields(r, map[string]func() error{
			"tokens_per_second": whole(&u.TokensPerSecond, 1<<30),
			"batch":             whole(&u.Batch, 4096),
			"cpus": optional(r, func() error {
				x, err := r.Float32()
				cpus := math.Round(float64(x)*1e6) / 1e6
				u.CPUs = &cpus
				return err
			}),
		})
	})
}

// share makes the decoder of a share of the live queries.
func share(r *strictjson.Reader, to **float64) func() error {
	return optional(r, func() error {
		x, err := r.Float32()
		whole := math.Round(float64(x)*1e6) / 1e6
		*to = &whole
		return err
	})
}

// migrationReport gives one file of the report of a migration.
func (s *Server) migrationReport(ctx context.Context, c *call) (answer, error) {
	id, err := migrationID(c)
	if err != nil {
		return answer{}, err
	}
	m, err := s.service.Migration(ctx, c.collection, id)
	if err != nil {
		return answer{}, err
	}
	var r report.Report
	if len(m.Evaluation) == 0 {
		return answer{}, &api.Error{
			Kind: api.KindNotFound, Code: "not_evaluated", Detail: fmt.Sprintf("migration %d of %q was not evaluated yet", id, c.collection.Name()),
			Remedy: "wait until it is ready, or POST its evaluate",
		}
	}
	if err := json.Unmarshal(m.Evaluation, &r); err != nil {
		return answer{}, fmt.Errorf("report of migration %d: %w", id, err)
	}
	files, err := r.Files()
	if err != nil {
		return answer{}, err
	}
	media := map[string]string{"report.md": "text/markdown; charset=utf-8", "report.json": mediaJSON}
	for _, f := range files {
		if f.Name != c.path["file"] {
			continue
		}
		kind := media[f.Name]
		if kind == "" {
			kind = "image/svg+xml"
		}
		return answer{text: f.Bytes, media: kind}, nil
	}
	return answer{}, &api.Error{
		Kind: api.KindNotFound, Code: "no_such_file", Detail: fmt.Sprintf("the report has no file %.40q", c.path["file"]),
		Remedy: "there is report.md, report.json, and scores.svg, queries.svg, overlap.svg where their parts were measured",
	}
}

// stepOf makes the handler of a step.
func stepOf(e migrate.Event) handler {
	return func(s *Server, ctx context.Context, c *call) (answer, error) {
		id, err := migrationID(c)
		if err != nil {
			return answer{}, err
		}
		o, err := decodeStep(c.body)
		if err != nil {
			return answer{}, err
		}
		m, err := s.service.MigrationStep(ctx, c.collection, id, e, o)
		if err != nil {
			return answer{}, err
		}
		return answer{result: migrationOf(m, true)}, nil
	}
}

// getHistory gives every generation of a collection, the oldest first.
func (s *Server) getHistory(ctx context.Context, c *call) (answer, error) {
	list, err := s.service.History(ctx, c.collection)
	if err != nil {
		return answer{}, err
	}
	rows := make([]map[string]any, 0, len(list))
	for _, g := range list {
		row := map[string]any{
			"generation": g.Number, "created_at": g.CreatedAt, "serving": g.Serving, "standby": g.Standby,
			"fingerprint": g.Manifest.Space.Fingerprint().String(), "manifest": withoutVectors(g.Manifest), "migration": nil,
		}
		if g.Migration != nil {
			row["migration"] = migrationOf(*g.Migration, true)
		}
		changes := make([]migrationRecord, 0, len(g.Changes))
		for _, m := range g.Changes {
			changes = append(changes, migrationOf(m, false))
		}
		row["changes"] = changes
		rows = append(rows, row)
	}
	return answer{result: map[string]any{"generations": rows}}, nil
}

// decodeMigration reads what a migration leads to, and how.
func decodeMigration(data []byte) (api.MigrationWish, error) {
	var w api.MigrationWish
	err := strictjson.Decode(data, func(r *strictjson.Reader) error {
		decoders := wishDecoders(r, &w.Wish)
		decoders["auto"] = optional(r, into(&w.Auto, r.Bool))
		decoders["require_card"] = optional(r, into(&w.RequireCard, r.Bool))
		var u api.MigrationUpdate
		decoders["shadow"], decoders["canary"], decoders["limits"] = share(r, &u.Shadow), share(r, &u.Canary), limits(r, &u.Limits, 1)
		decoders["bridge"] = optional(r, func() error {
			w.Bridge = new(api.BridgeWish)
			return fields(r, map[string]func() error{
				"recall": optional(r, func() error {
					x, err := r.Float32()
					w.Bridge.Recall = math.Round(float64(x)*1e6) / 1e6
					return err
				}),
				"pairs": optional(r, integer(r, &w.Bridge.Pairs, 1, 1<<30)),
			})
		})
		decoders["judgements"] = judgements(r, &w.Judged)
		err := fields(r, decoders)
		if u.Shadow != nil {
			w.Shadow = *u.Shadow
		}
		if u.Canary != nil {
			w.Canary = *u.Canary
		}
		w.Limits = u.Limits.On(w.Limits)
		return err
	})
	return w, err
}

// decodeStep reads what goes with a step; an empty body is nothing.
func decodeStep(data []byte) (api.StepOptions, error) {
	var o api.StepOptions
	if len(bytes.TrimSpace(data)) == 0 {
		return o, nil
	}
	err := strictjson.Decode(data, func(r *strictjson.Reader) error {
		return fields(r, map[string]func() error{
			"require_card": optional(r, into(&o.RequireCard, r.Bool)),
			"judgements":   judgements(r, &o.Judged),
		})
	})
	return o, err
}

// judgements makes the decoder of judged queries, each as a line of a file of
// them is.
func judgements(r *strictjson.Reader, judged *[]evaluate.Judged) func() error {
	return optional(r, func() error {
		var lines bytes.Buffer
		err := r.Array(func(int) error {
			line, err := r.Raw()
			if err == nil {
				err = json.Compact(&lines, line)
			}
			lines.WriteByte('\n')
			return err
		})
		if err != nil {
			return err
		}
		if *judged, err = evaluate.ReadJudged(&lines); err != nil {
			return r.Fail("%v", err)
		}
		return nil
	})
}
