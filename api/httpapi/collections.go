package httpapi

import (
	"context"
	"errors"
	"strconv"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/store"
)

// listCollections lists them by name.
func (s *Server) listCollections(ctx context.Context, _ *call) (answer, error) {
	list, err := s.service.List(ctx)
	if err != nil {
		return answer{}, err
	}
	rows := make([]map[string]any, 0, len(list))
	for _, d := range list {
		rows = append(rows, map[string]any{
			"name": d.Name, "model": d.Manifest.Provenance.Model, "dimension": d.Manifest.Space.Dimension,
			"points_count": d.Points, "unverified": !d.Manifest.Provenance.Verified,
		})
	}
	return answer{result: map[string]any{"collections": rows}}, nil
}

// createCollection makes one.
func (s *Server) createCollection(ctx context.Context, c *call) (answer, error) {
	wish, err := decodeWish(c.body)
	if err != nil {
		return answer{}, err
	}
	if c.collection, err = s.service.Create(ctx, c.path["collection"], wish); err != nil {
		return answer{}, err
	}
	return answer{result: true}, nil
}

// getCollection describes one: Qdrant's members, then our own.
func (s *Server) getCollection(ctx context.Context, c *call) (answer, error) {
	d, err := s.service.Describe(ctx, c.collection)
	if err != nil {
		return answer{}, err
	}
	m := c.collection.Manifest()
	info := map[string]any{
		"status": "green", "optimizer_status": "ok", "points_count": d.Points, "indexed_vectors_count": d.Indexed, "segments_count": 1,
		"payload_schema": payloadSchema(c.collection.PayloadIndexes()), "config": configOf(m, d),
		"fingerprint": c.collection.Fingerprint().String(), "generation": d.Generation, "unverified": !m.Provenance.Verified,
		"memory_bytes": d.Index.Bytes,
	}
	if m.Provenance.Model != "" {
		info["embedding"] = map[string]any{"model": m.Provenance.Model, "dimensions": m.Space.Dimension, "precision": m.Space.Precision, "text_field": m.Provenance.TextField}
	}
	if problem := c.collection.Problem(); problem != nil {
		info["status"], info["problem"] = "yellow", problemText(problem)
	}
	return answer{result: info}, nil
}

// problemText is what is said of a collection's encoder.
func problemText(problem error) string {
	p := problemOf(problem)
	if p.Code == "internal" {
		return "the encoder could not be opened; the server's log says why"
	}
	return p.Detail
}

// deleteCollection deletes one; the result is false when there was none.
func (s *Server) deleteCollection(ctx context.Context, c *call) (answer, error) {
	err := s.service.Drop(ctx, c.path["collection"])
	if errors.Is(err, store.ErrNotFound) {
		return answer{result: false}, nil
	}
	return answer{result: true}, err
}

// collectionExists says whether there is one.
func (s *Server) collectionExists(_ context.Context, c *call) (answer, error) {
	name := c.path["collection"]
	_, err := s.service.Collection(name)
	if err != nil && !api.ValidName(name) {
		return answer{}, err
	}
	return answer{result: map[string]bool{"exists": err == nil}}, nil
}

// getManifest gives the manifest of the serving generation.
func (s *Server) getManifest(ctx context.Context, c *call) (answer, error) {
	d, err := s.service.Describe(ctx, c.collection)
	if err != nil {
		return answer{}, err
	}
	m := c.collection.Manifest()
	result := map[string]any{
		"collection": c.collection.Name(), "generation": d.Generation, "fingerprint": c.collection.Fingerprint().String(),
		"unverified": !m.Provenance.Verified, "probes": len(m.Evidence.Probes), "manifest": m,
	}
	if c.request.URL.Query().Get("probes") != "true" {
		result["manifest"] = withoutVectors(m)
	}
	if target := c.collection.StandbyManifest(); target != nil {
		result["standby"] = map[string]any{"fingerprint": target.Space.Fingerprint().String(), "manifest": withoutVectors(*target)}
	}
	if problem := c.collection.Problem(); problem != nil {
		result["problem"] = problemText(problem)
	}
	return answer{result: result}, nil
}

// shortManifest is a manifest whose probes are their texts alone: the vectors
// are tens of kilobytes that nobody reads.
type shortManifest struct {
	compat.Manifest
	Evidence shortEvidence `json:"evidence"`
}

// shortEvidence is compat.Evidence with texts for probes.
type shortEvidence struct {
	compat.Evidence
	Probes []shortProbe `json:"probes,omitempty"`
}

// shortProbe is a probe's text.
type shortProbe struct {
	Text string `json:"text"`
}

// withoutVectors leaves the probes' vectors out.
func withoutVectors(m compat.Manifest) shortManifest {
	short := shortManifest{Manifest: m, Evidence: shortEvidence{Evidence: m.Evidence}}
	for _, p := range m.Evidence.Probes {
		short.Evidence.Probes = append(short.Evidence.Probes, shortProbe{p.Text})
	}
	return short
}

// diffManifest says what a wish would mean, and with estimate=true what it
// would take; nothing changes.
func (s *Server) diffManifest(ctx context.Context, c *call) (answer, error) {
	wish, err := decodeWish(c.body)
	if err != nil {
		return answer{}, err
	}
	diff, err := s.service.Diff(ctx, c.collection, wish)
	if err != nil {
		return answer{}, err
	}
	changes := diff.Changes
	if changes == nil {
		changes = []compat.Change{}
	}
	result := map[string]any{
		"verdict": diff.Plan.Verdict, "changes": changes, "plan": diff.Plan, "expected": diff.Have.String(), "actual": diff.Want.String(),
	}
	query := c.request.URL.Query()
	if query.Get("estimate") == "true" {
		price, _ := strconv.ParseFloat(query.Get("price"), 64) // openapi.yaml says that it is a number, and bounds it
		if result["estimate"], err = s.service.Estimate(ctx, c.collection, wish, price); err != nil {
			return answer{}, err
		}
	}
	return answer{result: result}, nil
}
