package store

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// Tests that end a process run the test binary as their child.

// childVariable holds what the child shall do; see child.
const childVariable = "VECINO_STORE_TEST_CHILD"

var (
	errorPoints = flag.Int("errors.points", 200, "injected errors of TestDiskErrors")
	killLoops   = flag.Int("kill.loops", 4, "loops of TestKill")
)

// child runs in the child process and gives its exit status.
func child(what string) int {
	var seed uint64
	var from, to int
	if _, err := fmt.Sscanf(what, "errors %d %d %d", &seed, &from, &to); err == nil {
		return childErrors(seed, from, to)
	}
	var dir string
	var n [crashWriters]int
	if _, err := fmt.Sscanf(what, "kill %q %d %d %d", &dir, &n[0], &n[1], &n[2]); err == nil {
		return childKill(dir, n)
	}
	fmt.Fprintf(os.Stderr, "unknown child %q\n", what)
	return 2
}

func startChild(t *testing.T, what string) (*exec.Cmd, io.ReadCloser, *bytes.Buffer) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childVariable+"="+what)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out, &stderr
}

// errorKinds are what fails: every operation that matches, from a point on, or
// one of them.
var errorKinds = []struct {
	name  string
	match func(op errorfs.Op) bool
	err   error
}{
	{"write", func(op errorfs.Op) bool { return op.Kind == errorfs.OpFileWrite }, syscall.EIO},
	{"sync", func(op errorfs.Op) bool {
		return op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo
	}, syscall.EIO},
	{"no space", func(op errorfs.Op) bool {
		return op.Kind == errorfs.OpFileWrite || op.Kind == errorfs.OpCreate || op.Kind == errorfs.OpFilePreallocate
	}, syscall.ENOSPC},
	{"read", func(op errorfs.Op) bool { return op.Kind.ReadOrWrite() == errorfs.OpIsRead }, syscall.EIO},
}

// An I/O error is never acknowledged: what is acknowledged after one is on the
// disk as it would be found after a crash.
func TestDiskErrors(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	points := fewer(*errorPoints)
	deaths, injected, acked := 0, 0, 0
	for next := 0; next < points; {
		cmd, out, stderr := startChild(t, fmt.Sprintf("errors %d %d %d", seed, next, points))
		last, struck := next-1, false
		scanner := bufio.NewScanner(out)
		for scanner.Scan() {
			line := scanner.Text()
			var n, a int
			if _, err := fmt.Sscanf(line, "point %d", &n); err == nil {
				last, struck = n, false
			} else if _, err := fmt.Sscanf(line, "ok %d acked %d", &n, &a); err == nil {
				acked += a
			} else if line == "injected" {
				injected++
				struck = true
			} else {
				t.Error(line)
			}
		}
		if err := cmd.Wait(); err != nil {
			deaths++ // crash-only: by Pebble's Fatalf or a panic of its own
			if !struck {
				t.Fatalf("the child ended by itself behind point %d: %v\n%s", last, err, stderr)
			}
		}
		next = last + 1
	}
	t.Logf("%d points, %d errors injected, %d processes ended, %d writes acknowledged after an error and found", points, injected, deaths, acked)
	if injected < points/2 {
		t.Errorf("only %d of %d points injected an error", injected, points)
	}
}

func childErrors(seed uint64, from, to int) int {
	for n := from; n < to; n++ {
		fmt.Println("point", n)
		acked, err := errorPoint(rand.New(rand.NewPCG(seed, uint64(n))))
		if err != nil {
			fmt.Printf("FAIL seed %d point %d: %v\n", seed, n, err)
			continue
		}
		fmt.Println("ok", n, "acked", acked)
	}
	return 0
}

// errorPoint writes until an injected error stops it, and looks at the disk
// behind every write that is acknowledged after the error.
func errorPoint(rng *rand.Rand) (acked int, err error) {
	ctx := context.Background()
	kind := errorKinds[rng.IntN(len(errorKinds))]
	var countdown atomic.Int64
	countdown.Store(int64(rng.IntN(120)))
	lasting := rng.IntN(2) == 0
	var hit, off atomic.Bool
	mem := vfs.NewCrashableMem()
	gate := gateFS{FS: mem, mu: &sync.RWMutex{}}
	fs := errorfs.Wrap(gate, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if off.Load() || !kind.match(op) {
			return nil
		}
		if left := countdown.Add(-1); left == 0 || lasting && left < 0 {
			if !hit.Swap(true) {
				fmt.Println("injected")
			}
			return fmt.Errorf("injected %s at %s: %w", kind.name, op.Path, kind.err)
		}
		return nil
	}))
	o := Options{Dir: "data", FS: fs, Create: true, MemTableBytes: 64 << 10, CheckpointEvery: 30, testing: testOptions{
		fatal: func(format string, args ...any) {
			fmt.Fprintf(os.Stderr, "fatal: "+format+"\n", args...)
			os.Exit(3)
		},
	}}
	s, err := Open(ctx, o)
	if err != nil {
		return 0, nonInjected(err)
	}
	defer func() {
		off.Store(true)
		_ = s.Close(ctx) // it may well fail after an error
	}()
	c, err := s.Create(ctx, "main", crashManifest())
	if err != nil {
		return 0, nonInjected(err)
	}
	for n := 1; n <= 60; n++ {
		broken := hit.Load()
		if err := step(ctx, c, 0, n); err != nil {
			return acked, nonInjected(err)
		}
		if !broken && !hit.Load() {
			continue
		}
		gate.mu.Lock()
		crashed := mem.CrashClone(vfs.CrashCloneCfg{})
		gate.mu.Unlock()
		p := crashPoint{mem: crashed}
		p.bounds[0] = bounds{least: int64(n), most: int64(n)}
		if err := (&crashRun{}).check(p, false); err != nil {
			return acked, fmt.Errorf("write %d was acknowledged after an error of kind %s: %w", n, kind.name, err)
		}
		acked++
	}
	return acked, nil
}

// nonInjected passes on errors that no injection explains.
func nonInjected(err error) error {
	if strings.Contains(err.Error(), "injected") || errors.Is(err, ErrFailed) || errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ENOSPC) {
		return nil
	}
	return err
}

// Kill -9 under load loses nothing that was acknowledged.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	var done [crashWriters]int
	acked := 0
	for loop := range *killLoops {
		cmd, out, stderr := startChild(t, fmt.Sprintf("kill %q %d %d %d", dir, done[0], done[1], done[2]))
		var p crashPoint
		for w := range done {
			p.bounds[w] = bounds{least: int64(done[w]), most: int64(done[w])}
		}
		var once sync.Once
		scanner := bufio.NewScanner(out)
		for scanner.Scan() {
			var w int
			var n int64
			if _, err := fmt.Sscanf(scanner.Text(), "started %d %d", &w, &n); err == nil {
				p.bounds[w].most = n
			} else if _, err := fmt.Sscanf(scanner.Text(), "acked %d %d", &w, &n); err == nil {
				p.bounds[w].least = n
				acked++
				once.Do(func() {
					time.AfterFunc(time.Duration(20+rand.IntN(100))*time.Millisecond, func() { _ = cmd.Process.Kill() })
				})
			} else if !strings.HasPrefix("started acked", strings.Fields(scanner.Text() + " ")[0]) {
				t.Fatalf("the child says %q", scanner.Text())
			}
		}
		_ = cmd.Wait()
		if p.bounds[0].most == 0 && loop == 0 {
			t.Fatalf("the child never began: %s", stderr)
		}
		s := open(t, Options{Dir: dir})
		c := reopen(t, s, "main", crashManifest())
		model, err := survivors(t.Context(), c, p)
		if err != nil {
			t.Fatalf("loop %d: %v", loop, err)
		}
		if err := expect(c, model); err != nil {
			t.Fatalf("loop %d: %v", loop, err)
		}
		for w := range done {
			for n := p.bounds[w].least; n <= p.bounds[w].most; n++ {
				if sub := after(w, int(n)); contains(model, sub, w) {
					done[w] = int(n)
					break
				}
			}
		}
		closeStore(t, s)
	}
	t.Logf("%d kills, %d acknowledged writes", *killLoops, acked)
}

// contains reports whether a model has exactly sub among the points of w.
func contains(model, sub map[int]int, w int) bool {
	for id := w * crashOwned; id < (w+1)*crashOwned; id++ {
		if model[id] != sub[id] {
			return false
		}
	}
	return true
}

// childKill writes until it is killed.
func childKill(dir string, done [crashWriters]int) int {
	ctx := context.Background()
	s, err := Open(ctx, Options{Dir: dir, Create: true, MemTableBytes: 64 << 10, CheckpointEvery: 30})
	if err != nil {
		fmt.Println("open:", err)
		return 1
	}
	c, err := s.OpenCollection(ctx, "main", crashManifest().Space)
	if errors.Is(err, ErrNotFound) {
		c, err = s.Create(ctx, "main", crashManifest())
	}
	if err != nil {
		fmt.Println("open collection:", err)
		return 1
	}
	var writers sync.WaitGroup
	for w := range done {
		writers.Add(1)
		go func() {
			defer writers.Done()
			for n := done[w] + 1; ; n++ {
				fmt.Printf("started %d %d\n", w, n)
				if err := step(ctx, c, w, n); err != nil {
					fmt.Println("write:", err)
					return
				}
				fmt.Printf("acked %d %d\n", w, n)
			}
		}()
	}
	writers.Wait()
	return 1
}
