//go:build unix

package embed_test

import (
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vecino-db/vecino/embed"
)

// TestYieldLetsTheNetworkIn: what has come in is read by the time that who
// computes has yielded, with no processor free to look. A pipe stands for the
// network: Go waits for both in one place.
func TestYieldLetsTheNetworkIn(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	var read atomic.Int64
	over := make(chan struct{})
	go func() {
		defer close(over)
		b := make([]byte, 1)
		for {
			if _, err := from.Read(b); err != nil {
				return
			}
			read.Add(1)
		}
	}()
	traffic := &embed.Traffic{}
	defer traffic.Begin(embed.PriorityQuery)()
	const tries = 100
	prompt := 0
	for i := range int64(tries) {
		time.Sleep(time.Millisecond) // it waits for the next one
		if _, err := to.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		if traffic.Yield(t.Context(), embed.PriorityQuery, 0); read.Load() == i+1 {
			prompt++
		}
		for read.Load() <= i {
			time.Sleep(time.Millisecond)
		}
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	<-over
	// A machine with other work may lose some.
	if prompt < tries*8/10 {
		t.Errorf("of %d bytes %d were read by then", tries, prompt)
	}
}
