package retry

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"
)

var errX = errors.New("x")

func record(waits *[]time.Duration) Clock {
	return Clock{
		Wait:   func(ctx context.Context, d time.Duration) error { *waits = append(*waits, d); return ctx.Err() },
		Jitter: func() float64 { return 0.999999 },
	}
}

func TestDo(t *testing.T) {
	p := Policy{Attempts: 4, Base: time.Second, Max: 5 * time.Second, MaxAfter: 20 * time.Second}
	s := time.Second
	for name, x := range map[string]struct {
		errs  []error
		want  error
		waits []time.Duration
	}{
		"success":         {[]error{nil}, nil, nil},
		"final":           {[]error{errX}, errX, nil},
		"second":          {[]error{Again(errX), nil}, nil, []time.Duration{2 * s}},
		"used up":         {[]error{Again(errX), Again(errX), Again(errX), Again(errX)}, errX, []time.Duration{2 * s, 4 * s, 5 * s}},
		"after":           {[]error{After(errX, 9*s), nil}, nil, []time.Duration{9 * s}},
		"after too long":  {[]error{After(errX, 21*s)}, errX, nil},
		"after too short": {[]error{After(errX, 0), nil}, nil, []time.Duration{2 * s}},
		"progress":        {[]error{Again(errX), Again(errX), Progress(errX), Again(errX), Again(errX), nil}, nil, []time.Duration{2 * s, 4 * s, 2 * s, 4 * s, 5 * s}},
	} {
		var waits []time.Duration
		n := 0
		err := p.Do(context.Background(), record(&waits), func() error { n++; return x.errs[n-1] })
		for i, w := range waits {
			waits[i] = w.Round(time.Millisecond)
		}
		if err != x.want || n != len(x.errs) || !slices.Equal(waits, x.waits) {
			t.Errorf("%s: %v after %d attempts, waited %v, want %v", name, err, n, waits, x.waits)
		}
	}
}

func TestDoCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	err := Policy{Base: time.Hour, Max: time.Hour}.Do(ctx, Clock{}, func() error {
		if n++; n == 1 {
			time.AfterFunc(10*time.Millisecond, cancel)
		}
		return Again(errX)
	})
	if !errors.Is(err, context.Canceled) || n != 1 {
		t.Errorf("%v after %d attempts", err, n)
	}
}

func TestParseAfter(t *testing.T) {
	now := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"0": 0, "12": 12 * time.Second, " 3 ": 3 * time.Second,
		"Wed, 06 May 2026 07:09:09 GMT": time.Minute, "Wed, 06 May 2026 07:00:00 GMT": 0,
		"": -1, "-1": -1, "1.5": -1, "soon": -1, "99999999999999999999": -1,
	} {
		got, ok := ParseAfter(http.Header{"Retry-After": {value}}, now)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %v, %v", value, got, ok)
		}
	}
}
