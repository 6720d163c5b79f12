package httpapi

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/store"
)

// recallMetrics give what the comparison of live queries with scans has seen,
// and how far each index is.
type recallMetrics struct {
	service                                *api.Service
	recall, floor, queries, wanted, found  *prometheus.Desc
	points, indexed, deleted, bytes, drift *prometheus.Desc
}

func newRecallMetrics(service *api.Service) *recallMetrics {
	describe := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("vecino_"+name, help, []string{"collection"}, nil)
	}
	return &recallMetrics{
		service: service,
		recall:  describe("recall_live", "Recall of the last live queries that were compared with a scan."),
		floor:   describe("recall_floor", "Recall below which the server warns."),
		queries: describe("recall_queries_total", "Live queries that were compared with a scan."),
		wanted:  describe("recall_wanted_total", "True nearest of these queries."),
		found:   describe("recall_found_total", "Of the true nearest, what the graph found."),
		points:  describe("collection_points", "Points of a collection."),
		indexed: describe("collection_indexed_vectors", "Vectors linked into the graph; the others are found by a scan."),
		deleted: describe("collection_deleted_vectors", "Deleted vectors that the index still holds."),
		bytes:   describe("collection_index_bytes", "Memory of the index."),
		drift:   describe("collection_index_drifted", "1: vectors came that their encoding was not made for."),
	}
}

// Describe implements prometheus.Collector: collections come while the server
// runs.
func (m *recallMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m *recallMetrics) Collect(to chan<- prometheus.Metric) {
	list, err := m.service.List(context.Background())
	if err != nil {
		return
	}
	for _, d := range list {
		if d.Damage != nil {
			continue
		}
		send := func(desc *prometheus.Desc, kind prometheus.ValueType, value float64) {
			to <- prometheus.MustNewConstMetric(desc, kind, value, d.Name)
		}
		send(m.floor, prometheus.GaugeValue, store.RecallFloor(d.Manifest))
		send(m.queries, prometheus.CounterValue, float64(d.Watched.Queries))
		send(m.wanted, prometheus.CounterValue, float64(d.Watched.Wanted))
		send(m.found, prometheus.CounterValue, float64(d.Watched.Found))
		if d.Watched.Queries > 0 {
			send(m.recall, prometheus.GaugeValue, d.Watched.Recent)
		}
		send(m.points, prometheus.GaugeValue, float64(d.Points))
		send(m.indexed, prometheus.GaugeValue, float64(d.Indexed))
		send(m.deleted, prometheus.GaugeValue, float64(d.Deleted))
		send(m.bytes, prometheus.GaugeValue, float64(d.Index.Bytes))
		drifted := 0.0
		if d.Index.Drifted {
			drifted = 1
		}
		send(m.drift, prometheus.GaugeValue, drifted)
	}
}
