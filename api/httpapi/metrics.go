package httpapi

import (
	"bytes"
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	"github.com/vecino-db/vecino/api"
)

// metrics are those of one server.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	points   *prometheus.CounterVec
}

// newMetrics registers them.
func newMetrics(service *api.Service) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vecino_requests_total", Help: "Requests by operation and status."}, []string{"operation", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "vecino_request_seconds", Help: "Time to answer by operation.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}, []string{"operation"}),
		points: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vecino_points_total", Help: "Points written and deleted."}, []string{"change"}),
	}
	m.registry.MustRegister(m.requests, m.seconds, m.points, newQueueMetrics(service), newRecallMetrics(service), newMigrationMetrics(service), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// observe counts one answer.
func (m *metrics) observe(operation string, status int, took time.Duration) {
	m.requests.WithLabelValues(operation, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(operation).Observe(took.Seconds())
}

// serveMetrics writes them in the text format.
func (s *Server) serveMetrics(context.Context, *call) (answer, error) {
	families, err := s.metrics.registry.Gather()
	if err != nil {
		return answer{}, err
	}
	var b bytes.Buffer
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&b, family); err != nil {
			return answer{}, err
		}
	}
	return answer{text: b.Bytes(), media: "text/plain; version=0.0.4; charset=utf-8"}, nil
}
