package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// benchProgress shows what is being measured: a bar on a terminal, a line a
// stage elsewhere. Its methods may be called from several goroutines.
type benchProgress struct {
	out *output

	mu   sync.Mutex
	bar  *progressbar.ProgressBar // nil: none at present
	done int
	last time.Time
	name string
	all  int
}

func newBenchProgress(out *output) *benchProgress { return &benchProgress{out: out} }

// stage begins something of so many parts; 0: not known.
func (p *benchProgress) stage(name string, parts int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clearLocked()
	p.name, p.all, p.done, p.last = name, parts, 0, time.Now()
	if !p.out.terminal() {
		fmt.Fprintln(p.out.errors, name)
		return
	}
	if parts == 0 {
		parts = -1
	}
	p.bar = progressbar.NewOptions(parts, progressbar.OptionSetWriter(p.out.errors), progressbar.OptionSetDescription(name),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionShowCount())
	_ = p.bar.RenderBlank() // a bar that can't be drawn is no reason to stop
}

// set says how many parts are done.
func (p *benchProgress) set(done int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.setLocked(done)
}

// add says that so many more are done.
func (p *benchProgress) add(parts int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.setLocked(p.done + parts)
}

func (p *benchProgress) setLocked(done int) {
	if done <= p.done {
		return // of another thread, later
	}
	p.done = done
	switch {
	case p.bar != nil:
		_ = p.bar.Set(min(done, p.all))
	case !p.out.terminal() && time.Since(p.last) >= lineEvery && p.all > 0:
		p.last = time.Now()
		fmt.Fprintf(p.out.errors, "%s: %d of %d\n", p.name, done, p.all)
	}
}

func (p *benchProgress) clearLocked() {
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar = nil
	}
}

// end takes the bar away.
func (p *benchProgress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clearLocked()
}
