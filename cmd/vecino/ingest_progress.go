package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far an ingest is: a bar on a terminal, a line now and
// then elsewhere.
type progress struct {
	out   *output
	bar   *progressbar.ProgressBar // nil: lines
	last  time.Time
	count int
	once  sync.Once
}

// lineEvery is how often a line is written where there is no terminal.
const lineEvery = 5 * time.Second

// newProgress begins; the sizes of the files are the measure.
func newProgress(out *output, sources []source) *progress {
	p := &progress{out: out, last: time.Now()}
	if !out.terminal() {
		return p
	}
	total := int64(0)
	for _, s := range sources {
		if s.stdin() {
			total = -1
			break
		}
		total += s.size
	}
	p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(out.errors), progressbar.OptionShowBytes(true),
		progressbar.OptionSetDescription("ingest"), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	return p
}

// add says that n more bytes of the sources are done.
func (p *progress) add(n int) {
	if p.bar != nil {
		_ = p.bar.Add(n) // a bar that can't be drawn is no reason to stop
	}
}

// documents says how many documents are stored by now.
func (p *progress) documents(n int) {
	p.count = n
	if p.bar == nil && time.Since(p.last) >= lineEvery {
		p.last = time.Now()
		fmt.Fprintf(p.out.errors, "%d documents\n", n)
	}
}

// note writes a line that stays.
func (p *progress) note(text string) {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	fmt.Fprintln(p.out.errors, text)
}

// finish takes the bar away.
func (p *progress) finish() {
	p.once.Do(func() {
		if p.bar != nil {
			_ = p.bar.Finish()
		}
	})
}
