package httpapi

import (
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vecino-db/vecino/api"
)

// migrationMetrics give how far migrations under way are, and what they do with
// live queries.
type migrationMetrics struct {
	service *api.Service

	state, waiting, documents, done                                    *prometheus.Desc
	shadowShare, compared, dropped, unanswered, overlap, searchSeconds *prometheus.Desc
	canaryShare, answered, failed, held, querySeconds                  *prometheus.Desc
}

func newMigrationMetrics(service *api.Service) *migrationMetrics {
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("vecino_"+name, help, append([]string{"collection", "migration"}, labels...), nil)
	}
	return &migrationMetrics{
		service:       service,
		state:         describe("migration_state", "1: the state that a migration is in.", "state"),
		waiting:       describe("migration_waiting", "1: it stands still, for its turn or for an encoder."),
		documents:     describe("migration_documents", "Documents that there are."),
		done:          describe("migration_documents_done", "Documents that have a vector in the target."),
		shadowShare:   describe("shadow_share", "Share of the live queries that are compared in both generations."),
		compared:      describe("shadow_queries_total", "Live queries that were compared in both generations."),
		dropped:       describe("shadow_dropped_total", "Live queries that were not compared because the comparison was behind."),
		unanswered:    describe("shadow_failed_total", "Live queries that one of the generations did not answer the comparison."),
		overlap:       describe("shadow_overlap", "Mean overlap of the first ten hits of both generations."),
		searchSeconds: describe("shadow_search_seconds", "Time of the searches that were compared.", "generation"),
		canaryShare:   describe("canary_share", "Share of the live queries that the target answers."),
		answered:      describe("canary_queries_total", "Live queries that the target answered before the cut-over."),
		failed:        describe("canary_failed_total", "Live queries that the target failed to answer; the serving generation did."),
		held:          describe("canary_held_total", "Live queries of the canary's share that the serving generation answered, because the target was not complete or a threshold had no map."),
		querySeconds:  describe("canary_query_seconds", "Time of the queries by text beside a canary, encoding and search.", "generation"),
	}
}

// Describe implements prometheus.Collector: migrations come while the server
// runs.
func (m *migrationMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m *migrationMetrics) Collect(to chan<- prometheus.Metric) {
	for _, one := range m.service.MigrationsUnderWay() {
		labels := []string{one.Collection, strconv.FormatUint(one.ID, 10)}
		send := func(desc *prometheus.Desc, kind prometheus.ValueType, value float64) {
			to <- prometheus.MustNewConstMetric(desc, kind, value, labels...)
		}
		waiting := 0.0
		if one.Waiting != "" {
			waiting = 1
		}
		to <- prometheus.MustNewConstMetric(m.state, prometheus.GaugeValue, 1, append(slices.Clone(labels), string(one.State))...)
		send(m.waiting, prometheus.GaugeValue, waiting)
		send(m.documents, prometheus.GaugeValue, float64(one.Progress.Total))
		send(m.done, prometheus.GaugeValue, float64(one.Progress.Done))
		shadow, canary, err := api.LiveOf(one)
		if err != nil {
			continue
		}
		times := func(desc *prometheus.Desc, generation string, t api.Timing) {
			if t.P50 != nil && t.P99 != nil {
				quantiles := map[float64]float64{0.5: *t.P50 / 1000, 0.99: *t.P99 / 1000}
				to <- prometheus.MustNewConstSummary(desc, uint64(t.Queries), t.Sum/1000, quantiles, append(slices.Clone(labels), generation)...)
			}
		}
		if shadow != nil {
			send(m.shadowShare, prometheus.GaugeValue, shadow.Share)
			send(m.compared, prometheus.CounterValue, float64(shadow.Queries))
			send(m.dropped, prometheus.CounterValue, float64(shadow.Dropped))
			send(m.unanswered, prometheus.CounterValue, float64(shadow.Failed))
			if shadow.Overlap != nil {
				send(m.overlap, prometheus.GaugeValue, *shadow.Overlap)
			}
			times(m.searchSeconds, "old", shadow.Old)
			times(m.searchSeconds, "new", shadow.New)
		}
		if canary != nil {
			send(m.canaryShare, prometheus.GaugeValue, canary.Share)
			send(m.answered, prometheus.CounterValue, float64(canary.Queries))
			send(m.failed, prometheus.CounterValue, float64(canary.Failed))
			send(m.held, prometheus.CounterValue, float64(canary.Held))
			times(m.querySeconds, "old", canary.Old)
			times(m.querySeconds, "new", canary.New)
		}
	}
}
