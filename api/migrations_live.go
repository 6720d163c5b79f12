package api

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/embed/evaluate/compare"
)

// While both generations of a migration are complete, live queries can be put to
// them. The shadow compares a share of the queries by text in both, behind the
// answer; the canary lets the target answer a share of them before the cut-over.
// What came of it is kept with the record of the migration, now and then.

// liveKeepEvery is how often the figures are kept while they change; a server
// that is killed forgets those since.
const liveKeepEvery = 30 * time.Second

// Timing is the time that live queries took in one generation, in
// milliseconds, within 5 %; null before the first.
type Timing struct {
	Queries int      `json:"queries"`
	P50     *float64 `json:"p50_ms"`
	P99     *float64 `json:"p99_ms"`
	Sum     float64  `json:"-"` // of all
}

// Shadow is what the comparison of live queries has shown.
type Shadow struct {
	Share   float64  `json:"share"`
	Queries int      `json:"queries"`       // compared
	Dropped int      `json:"dropped"`       // drawn, but the comparison was too far behind
	Failed  int      `json:"failed"`        // not answered by one of the generations
	Overlap *float64 `json:"overlap_at_10"` // mean; null before the first
	RBO     *float64 `json:"rbo"`           // mean rank-biased overlap
	Tau     *float64 `json:"tau"`           // mean rank correlation of what both found; null: none shares two hits
	// SameFirst is the number of queries whose first hit is the same.
	SameFirst int `json:"same_first"`
	// Old and New are the times of the searches, without the encodings, which
	// wait behind everybody else's.
	Old        Timing                `json:"old"`
	New        Timing                `json:"new"`
	Thresholds *compare.ThresholdMap `json:"thresholds"` // of these queries; null: they are too few
	Kept       *compare.Kept         `json:"kept"`       // what the map is worth
}

// Canary is what the target did with live queries before the cut-over.
type Canary struct {
	Share   float64 `json:"share"`
	Queries int     `json:"queries"` // answered by the target
	// Failed in the target: the serving generation answered.
	Failed int `json:"failed"`
	// Held are queries of the share that the serving generation answered,
	// because the target lacked documents at that moment, or because there is no
	// map for their score_threshold.
	Held int `json:"held"`
	// Old and New are the times of the queries by text as they were answered,
	// encoding and search, while the canary was out.
	Old Timing `json:"old"`
	New Timing `json:"new"`
}

// LiveOf is what a migration did with live queries; nil: it was not asked to.
func LiveOf(m migrate.Migration) (*Shadow, *Canary, error) {
	r, err := readLive(m.Live)
	if err != nil {
		return nil, nil, fmt.Errorf("migration %d of %q: live queries: %w", m.ID, m.Collection, err)
	}
	shadow, canary := r.Shadow.seen(), r.Canary.seen()
	return shadow, canary, nil
}

// liveRecord is what is kept.
type liveRecord struct {
	Shadow shadowRecord `json:"shadow"`
	Canary canaryRecord `json:"canary"`
}

// shadowRecord is what is kept of a shadow: sums.
type shadowRecord struct {
	Share      float64               `json:"share"`
	Queries    int                   `json:"queries"`
	Dropped    int                   `json:"dropped"`
	Failed     int                   `json:"failed"`
	Overlap    float64               `json:"overlap"`
	RBO        float64               `json:"rbo"`
	Tau        float64               `json:"tau"`
	TauQueries int                   `json:"tau_queries"`
	SameFirst  int                   `json:"same_first"`
	Old        latencies             `json:"old"`
	New        latencies             `json:"new"`
	Thresholds *compare.ThresholdMap `json:"thresholds,omitempty"`
	Kept       *compare.Kept         `json:"kept,omitempty"`
}

// seen is the record for people; nil: there is nothing.
func (r *shadowRecord) seen() *Shadow {
	if r.Share == 0 && r.Queries+r.Dropped+r.Failed == 0 {
		return nil
	}
	s := &Shadow{
		Share: r.Share, Queries: r.Queries, Dropped: r.Dropped, Failed: r.Failed, SameFirst: r.SameFirst,
		Old: r.Old.timing(), New: r.New.timing(), Thresholds: r.Thresholds, Kept: r.Kept,
	}
	mean := func(sum float64, n int) *float64 {
		if n == 0 {
			return nil
		}
		sum /= float64(n)
		return &sum
	}
	s.Overlap, s.RBO, s.Tau = mean(r.Overlap, r.Queries), mean(r.RBO, r.Queries), mean(r.Tau, r.TauQueries)
	return s
}

// canaryRecord is what is kept of a canary.
type canaryRecord struct {
	Share   float64   `json:"share"`
	Queries int       `json:"queries"`
	Failed  int       `json:"failed"`
	Held    int       `json:"held"`
	Old     latencies `json:"old"`
	New     latencies `json:"new"`
}

// seen is the record for people; nil: there is nothing.
func (r *canaryRecord) seen() *Canary {
	if r.Share == 0 && r.Queries+r.Failed+r.Held == 0 {
		return nil
	}
	return &Canary{Share: r.Share, Queries: r.Queries, Failed: r.Failed, Held: r.Held, Old: r.Old.timing(), New: r.New.timing()}
}

func readLive(data json.RawMessage) (r liveRecord, err error) {
	if len(data) > 0 {
		err = json.Unmarshal(data, &r)
	}
	return r, err
}

// The buckets of latencies: each is a tenth above the one before.
const (
	latencyBuckets = 170
	latencyLeast   = 0.01 // milliseconds
	latencyStep    = 1.1
)

// latencies count times in buckets. The last ones have all that took longer
// than a minute and a half.
type latencies struct {
	Counts [latencyBuckets]int `json:"counts"`
	Sum    float64             `json:"sum_ms"`
}

// add counts one.
func (l *latencies) add(took time.Duration) {
	ms := float64(took) / float64(time.Millisecond)
	i := 0
	if ms > latencyLeast {
		i = min(int(math.Log(ms/latencyLeast)/math.Log(latencyStep)), latencyBuckets-1)
	}
	l.Counts[i]++
	l.Sum += ms
}

// timing is what they come to.
func (l *latencies) timing() Timing {
	t := Timing{Sum: l.Sum}
	for _, n := range l.Counts {
		t.Queries += n
	}
	t.P50, t.P99 = l.quantile(t.Queries, 0.5), l.quantile(t.Queries, 0.99)
	return t
}

// quantile is the middle of the bucket in which a quantile of n times lies.
func (l *latencies) quantile(n int, q float64) *float64 {
	if n == 0 {
		return nil
	}
	rank := int(q * float64(n-1))
	for i, count := range l.Counts {
		if rank -= count; rank < 0 {
			ms := latencyLeast * math.Pow(latencyStep, float64(i)+0.5)
			return &ms
		}
	}
	return nil
}

// live is a migration's part of live queries.
type live struct {
	waiting chan shadowed // for the shadow
	seed    maphash.Seed  // of texts

	mu     sync.Mutex
	record liveRecord
	// pairs are the scores of a sample of the compared queries, without their
	// texts, for a threshold map; mapped of them made the last one.
	pairs   []compare.Query
	seen    int                 // queries that pairs is a sample of
	texts   map[uint64]struct{} // hashes of some of their texts, liveLeast at most
	mapped  int
	changed bool // since the record was kept
	kept    time.Time
}

// shadowWaits bounds the queries that wait to be compared.
const shadowWaits = 64

func newLive(r liveRecord) *live {
	return &live{waiting: make(chan shadowed, shadowWaits), record: r, seed: maphash.MakeSeed(), texts: map[uint64]struct{}{}}
}

// json is the record as it is kept; nil: there is nothing.
func (l *live) json() (json.RawMessage, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.record.Shadow.seen() == nil && l.record.Canary.seen() == nil {
		return nil, nil
	}
	return json.Marshal(l.record)
}

// change changes the record.
func (l *live) change(f func(r *liveRecord)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(&l.record)
	l.changed = true
}

// shares are the settings.
func (l *live) shares() (shadow, canary float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.record.Shadow.Share, l.record.Canary.Share
}

// rememberLocked takes the scores of a compared query into the sample; l.mu is
// held.
func (l *live) rememberLocked(text string, pair compare.Query) {
	l.seen++
	if len(l.texts) < liveLeast {
		l.texts[maphash.String(l.seed, text)] = struct{}{}
	}
	if len(l.pairs) < liveQueries {
		l.pairs = append(l.pairs, pair)
	} else if at := rand.IntN(l.seen); at < len(l.pairs) {
		l.pairs[at] = pair
	}
}

// remap makes the threshold map of the compared queries anew where there are a
// tenth more of them than made the last one, and reports whether it did. A map
// that stems from before a restart stands until as many queries were compared.
func (l *live) remap(o compare.ThresholdOptions) bool {
	l.mu.Lock()
	pairs, least := append([]compare.Query(nil), l.pairs...), max(liveLeast, l.mapped+l.mapped/10)
	if t := l.record.Shadow.Thresholds; l.mapped == 0 && t != nil {
		least = max(least, t.Queries())
	}
	due := l.seen >= least && len(l.texts) >= liveLeast
	seen := l.seen
	l.mu.Unlock()
	if !due {
		return false
	}
	m, err := compare.MapThresholds(pairs, o)
	if err != nil {
		return false // queries without hits, say: more may make one
	}
	var kept *compare.Kept
	if k, err := compare.CrossCheck(pairs, o, uint64(seen)); err == nil {
		kept = &k
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mapped = seen
	l.record.Shadow.Thresholds, l.record.Shadow.Kept, l.changed = m, kept, true
	return true
}

// trial says what queries are put to both generations; it is nil where none
// are.
type trial struct {
	m              *migration
	from, to       uint64 // generations
	shadow, canary float64
}

// publishLocked lets queries see the settings, as far as the state admits
// them; m.mu is held.
func (m *migration) publishLocked() {
	t := &trial{m: m, from: m.record.From, to: m.record.To}
	shadow, canary := m.live.shares()
	switch m.record.State {
	case migrate.Ready:
		t.shadow, t.canary = shadow, canary
	case migrate.RollbackWindow, migrate.RolledBack:
		t.shadow = shadow
	}
	if t.shadow == 0 && t.canary == 0 {
		t = nil
	}
	m.c.trial.Store(t)
}

// keepLive keeps the figures when it is time, or at the end of a run. The run
// alone calls it.
func (m *migration) keepLive(ctx context.Context, end bool) error {
	l := m.live
	l.mu.Lock()
	due := l.changed && (end || time.Since(l.kept) >= liveKeepEvery)
	l.mu.Unlock()
	if !due {
		return nil
	}
	p := m.c.now()
	record := m.get()
	remapped := false
	if old, anew := p.of(record.From), p.of(record.To); old != nil && anew != nil {
		remapped = l.remap(compare.ThresholdOptions{Old: old.manifest.Metric, New: anew.manifest.Metric})
	}
	l.mu.Lock()
	l.changed, l.kept = false, time.Now()
	l.mu.Unlock()
	if err := m.Keep(ctx, record); err != nil {
		// Not kept, by a stop for example, which tries again.
		l.mu.Lock()
		l.changed = true
		l.mu.Unlock()
		return err
	}
	if remapped {
		m.c.scales.forget()
	}
	return nil
}

// sameScale reports whether thresholds of two generations mean the same.
func sameScale(a, b *generation) bool {
	return a.fingerprint() == b.fingerprint() && a.manifest.Metric == b.manifest.Metric
}

// thresholdOf chooses between the maps of an evaluation and of live queries:
// the latter are what people ask.
func thresholdOf(evaluated *compare.ThresholdMap, sample string, l *compare.ThresholdMap) *compare.ThresholdMap {
	if l != nil && (evaluated == nil || sample == sampleDocuments || l.Queries() >= evaluated.Queries()) {
		return l
	}
	return evaluated
}

// MigrationsUnderWay are those that have not ended, by collection.
func (s *Service) MigrationsUnderWay() []migrate.Migration {
	s.migrations.mu.Lock()
	var all []*migration
	for _, name := range slices.Sorted(maps.Keys(s.migrations.active)) {
		all = append(all, s.migrations.active[name])
	}
	s.migrations.mu.Unlock()
	list := make([]migrate.Migration, len(all))
	for i, m := range all {
		list[i] = m.get()
	}
	return list
}
