package remote

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/vecino-db/vecino/embed/remote/retry"
)

const (
	// keptFor is how long what was paid for in a batch that failed is kept: who
	// asks again without the text that failed it does so at once.
	keptFor = 10 * time.Minute
	// maxKept bounds the components of the vectors that are kept: 64 MiB.
	maxKept = 16 << 20
)

// kept is what came of batches that failed as a whole, because one of their texts
// was refused or their caller left: the vectors of the others, and which others
// were refused. The next batch that has the texts takes it, so nothing is asked
// of the endpoint twice. It is of one epoch, and without a witness nothing is kept.
type kept struct {
	clock retry.Clock

	mu         sync.Mutex
	epoch      uint64
	last       time.Time // when something was put
	components int
	texts      map[[sha256.Size]byte]made
}

// made is what the endpoint has made of a text; the zero value: nothing yet.
type made struct {
	row     row
	refusal error
}

// done reports whether it has made anything of it.
func (o made) done() bool { return o.row != nil || o.refusal != nil }

// take moves the results of texts, as they are sent, to who asks for them now.
func (k *kept) take(epoch uint64, sent []string) []made {
	list := make([]made, len(sent))
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forgetLocked(epoch)
	if len(k.texts) == 0 {
		return list
	}
	var taken [][sha256.Size]byte
	for i, text := range sent {
		key := sha256.Sum256([]byte(text))
		if o, ok := k.texts[key]; ok {
			list[i] = o
			taken = append(taken, key)
		}
	}
	for _, key := range taken {
		k.components -= len(k.texts[key].row)
		delete(k.texts, key) // a text that stood there twice is no more there
	}
	return list
}

// put keeps results, as many as there is room for.
func (k *kept) put(epoch uint64, sent []string, list []made) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forgetLocked(epoch)
	for i, o := range list {
		if !o.done() || k.components+len(o.row) > maxKept {
			continue
		}
		key := sha256.Sum256([]byte(sent[i]))
		if _, ok := k.texts[key]; ok {
			continue
		}
		if k.texts == nil {
			k.texts = map[[sha256.Size]byte]made{}
		}
		k.texts[key] = o
		k.components += len(o.row)
		k.last = k.clock.Now()
	}
}

// forgetLocked drops what is of another epoch, or too old.
func (k *kept) forgetLocked(epoch uint64) {
	if k.epoch != epoch || len(k.texts) > 0 && k.clock.Now().Sub(k.last) > keptFor {
		k.texts, k.components = nil, 0
	}
	k.epoch = epoch
}

// clear drops everything.
func (k *kept) clear() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.texts, k.components = nil, 0
}
