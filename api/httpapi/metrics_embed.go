package httpapi

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/embed"
)

// queueMetrics gives what the encoders' queues and the cache count, and which
// encoders are refused, under
// names in the spirit of text-embeddings-inference. "space" is the beginning of
// a fingerprint: it tells variants of one model apart.
type queueMetrics struct {
	service *api.Service

	size, tokens, running, speed               *prometheus.Desc
	requests, isolated                         *prometheus.Desc
	queueSeconds, batchSize, batchTokens, took *prometheus.Desc
	cacheBytes, cacheMax, cacheLookups         *prometheus.Desc
	cacheEvicted, cacheDamaged, refused        *prometheus.Desc
}

// newQueueMetrics describes them.
func newQueueMetrics(service *api.Service) *queueMetrics {
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("vecino_embed_"+name, help, labels, nil)
	}
	return &queueMetrics{
		service:      service,
		size:         describe("queue_size", "Requests that wait for an encoder.", "model", "space", "priority"),
		tokens:       describe("queue_tokens", "Tokens that wait for an encoder.", "model", "space", "priority"),
		queueSeconds: describe("queue_duration_seconds", "Time from a request's coming to its first batch.", "model", "space", "priority"),
		requests:     describe("requests_total", "Requests to an encoder by outcome: done, failed, rejected, cancelled.", "model", "space", "priority", "outcome"),
		running:      describe("batches_running", "Batches that are being encoded.", "model", "space"),
		speed:        describe("tokens_per_second", "Measured speed of one worker.", "model", "space"),
		batchSize:    describe("batch_size", "Texts of a batch.", "model", "space"),
		batchTokens:  describe("batch_tokens", "Tokens of a batch.", "model", "space"),
		took:         describe("inference_duration_seconds", "Time of the encoder for a batch.", "model", "space"),
		isolated:     describe("batches_isolated_total", "Batches that were encoded again request by request, because of one text.", "model", "space"),
		refused:      describe("refused", "1: texts are refused, because the model is another than the one that made the generation's vectors.", "collection", "generation", "model"),
		cacheBytes:   describe("cache_bytes", "Size of the embedding cache."),
		cacheMax:     describe("cache_max_bytes", "Bound of the embedding cache."),
		cacheLookups: describe("cache_lookups_total", "Texts looked up in the embedding cache, by result.", "result"),
		cacheEvicted: describe("cache_evicted_total", "Vectors that went from the embedding cache to make room."),
		cacheDamaged: describe("cache_damaged_total", "Records of the embedding cache that were found damaged."),
	}
}

// Describe implements prometheus.Collector. None are named beforehand, because
// encoders come while the server runs.
func (m *queueMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m *queueMetrics) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	counter := func(d *prometheus.Desc, value uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	histogram := func(d *prometheus.Desc, h embed.Histogram, labels ...string) {
		to <- prometheus.MustNewConstHistogram(d, h.Count, h.Sum, h.Cumulative(), labels...)
	}
	for _, q := range m.service.Encoders().Queues() {
		space := q.Fingerprint.String()[:12]
		for p, of := range q.Metrics.Priorities {
			priority := embed.Priority(p).String()
			gauge(m.size, float64(of.Waiting), q.Model, space, priority)
			gauge(m.tokens, float64(of.WaitingTokens), q.Model, space, priority)
			histogram(m.queueSeconds, of.QueueSeconds, q.Model, space, priority)
			counter(m.requests, of.Done, q.Model, space, priority, "done")
			counter(m.requests, of.Failed, q.Model, space, priority, "failed")
			counter(m.requests, of.Rejected, q.Model, space, priority, "rejected")
			counter(m.requests, of.Cancelled, q.Model, space, priority, "cancelled")
		}
		gauge(m.running, float64(q.Metrics.Running), q.Model, space)
		gauge(m.speed, q.Metrics.TokensPerSecond, q.Model, space)
		histogram(m.batchSize, q.Metrics.BatchTexts, q.Model, space)
		histogram(m.batchTokens, q.Metrics.BatchTokens, q.Model, space)
		histogram(m.took, q.Metrics.BatchSeconds, q.Model, space)
		counter(m.isolated, q.Metrics.Isolated, q.Model, space)
	}
	for _, g := range m.service.GenerationModels() {
		refused := 0.0
		if g.Refused {
			refused = 1
		}
		gauge(m.refused, refused, g.Collection, strconv.FormatUint(g.Generation, 10), g.Model)
	}
	if cache := m.service.CacheStats(); cache != nil {
		gauge(m.cacheBytes, float64(cache.Bytes))
		gauge(m.cacheMax, float64(cache.MaxBytes))
		counter(m.cacheLookups, cache.Hits, "hit")
		counter(m.cacheLookups, cache.Misses, "miss")
		counter(m.cacheEvicted, cache.Evicted)
		counter(m.cacheDamaged, cache.Damaged)
	}
}
