package store

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestPointLocks(t *testing.T) {
	var p pointLocks
	p.init()
	unlock := p.lock([]ID{NumID(1), NumID(2)})
	p.lock([]ID{NumID(4)})() // others don't wait
	entered := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		unlock := p.lock([]ID{NumID(3), NumID(2)})
		close(entered)
		unlock()
	}()
	select {
	case <-entered:
		t.Error("a held point was locked twice")
	case <-time.After(20 * time.Millisecond):
	}
	unlock()
	<-done
	if len(p.held) != 0 {
		t.Errorf("%d points are still held", len(p.held))
	}
}

func TestWatermark(t *testing.T) {
	var w watermark
	w.reset(10)
	for _, step := range []struct{ finish, want uint64 }{{12, 10}, {13, 10}, {11, 13}, {15, 13}, {14, 15}} {
		if w.finish(step.finish); w.get() != step.want {
			t.Errorf("after %d the level is %d, want %d", step.finish, w.get(), step.want)
		}
	}
	if len(w.ahead) != 0 {
		t.Errorf("%d sequences are kept", len(w.ahead))
	}
}

// slowFS makes syncs last, so that writes of one point overlap.
type slowFS struct{ vfs.FS }

func (f slowFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, category)
	return slowFile{file}, err
}

type slowFile struct{ vfs.File }

func (f slowFile) SyncData() error {
	time.Sleep(200 * time.Microsecond)
	return f.File.SyncData()
}

func (f slowFile) Sync() error {
	time.Sleep(200 * time.Microsecond)
	return f.File.Sync()
}

// Writers of the same point take turns: count, digest and graph stay right.
func TestWritersOfOnePoint(t *testing.T) {
	s := open(t, testOptionsFor(t, slowFS{vfs.NewMem()}))
	defer closeStore(t, s)
	c := create(t, s, "one", testManifest(4, 1))
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := range 20 {
				put(t, c, 1+w*20+n, 7, 8)
			}
		}()
	}
	wg.Wait()
	if n := c.current(); n.live != 1 || n.sequence != 160 || c.applied.get() != 160 {
		t.Errorf("the state is %+v, applied %d", n, c.applied.get())
	}
	if live := c.serving().graph.Stats().Live; live != 1 {
		t.Errorf("the graph finds %d vectors of one point", live)
	}
	if err := c.verify(context.Background(), 0); err != nil {
		t.Error(err)
	}
}

// What is in a directory is durable before a marker there can name it.
func TestMarkersFollowTheirDirectory(t *testing.T) {
	mem := vfs.NewCrashableMem()
	fs := markerFS{mem}
	if err := makeDirectory(fs, "a/b"); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(fs, "a/b/MANIFEST-1", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(fs, "a/b/marker.manifest.1", nil); err != nil {
		t.Fatal(err)
	}
	clone := mem.CrashClone(vfs.CrashCloneCfg{})
	if _, err := clone.Stat("a/b/MANIFEST-1"); err != nil {
		t.Errorf("a crash behind the marker loses what it names: %v", err)
	}
}
