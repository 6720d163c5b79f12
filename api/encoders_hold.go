package api

import (
	"fmt"

	"github.com/vecino-db/vecino/embed"
)

// hold counts what needs an open encoder: the collections that have it and the
// requests under way. While it counts any, the registry keeps the encoder open.
// All copies of a served share one.
type hold struct {
	registry *Encoders
	n        int // guarded by registry.mu
}

// release gives one back; a nil hold holds nothing.
func (h *hold) release() {
	if h == nil {
		return
	}
	h.registry.mu.Lock()
	h.n--
	h.registry.mu.Unlock()
}

// release gives back what get gave.
func (s *served) release() {
	if s != nil {
		s.hold.release()
	}
}

// alone reports whether nothing else needs the encoder than who asks and holds
// it.
func (s *served) alone() bool {
	s.hold.registry.mu.Lock()
	defer s.hold.registry.mu.Unlock()
	return s.hold.n == 1
}

// takeLocked hands out the encoder of a slot, whose turn to go comes last then.
func (e *Encoders) takeLocked(slot *openEncoder) *served {
	e.taken++
	slot.taken = e.taken
	slot.encoder.hold.n++
	return slot.encoder
}

// makeRoomLocked takes away the slot that was used longest ago among those that
// nothing needs, and gives its encoder, if no other slot has it, for the caller
// to close without the lock.
func (e *Encoders) makeRoomLocked() (embed.Encoder, error) {
	slots := map[*served]int{}
	for _, slot := range e.open {
		slots[slot.encoder]++
	}
	oldest := ""
	for key, slot := range e.open {
		// Without an encoder it is being filled; one with two slots stays open.
		free := slot.encoder != nil && (slot.encoder.hold.n == 0 || slots[slot.encoder] > 1)
		if free && (oldest == "" || slot.taken < e.open[oldest].taken) {
			oldest = key
		}
	}
	if oldest == "" {
		return nil, &Error{
			Kind: KindNotReady, Code: "too_many_encoders", Detail: fmt.Sprintf("%d variants of models are open, and collections or requests need each", maxOpenEncoders),
			Remedy: "use a model and dimensions that are in use, or delete a collection that alone has its own",
		}
	}
	s := e.open[oldest].encoder
	delete(e.open, oldest)
	if slots[s] > 1 {
		return nil, nil
	}
	return s, nil
}
