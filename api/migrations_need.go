package api

import (
	"fmt"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/store"
)

// What a migration takes of disk and memory beside what there is, until its
// commit.

// hasRoom says KindFull where the disk has too little room for a target beside
// what other migrations will still take. A disk that can't say passes.
func (s *Service) hasRoom(want compat.Manifest, verdict compat.Verdict, encoder *served, documents int) error {
	free, cache, err := s.room()
	if err != nil {
		return nil
	}
	need := diskNeed(want, documents)
	if verdict == compat.VerdictReembed && encoder != nil && encoder.cached() {
		need += min(cache, cacheNeed(want, documents))
	}
	if need <= free {
		return nil
	}
	return &Error{
		Kind: KindFull, Code: "disk_full", Err: store.ErrDiskFull,
		Detail: fmt.Sprintf("the migration needs about %d MiB of disk beside what there is, and %d MiB are free beside what other migrations will still take", mebi(need), free>>20),
		Remedy: "free space, wait until another migration has ended, or migrate to fewer dimensions or a smaller encoding",
	}
}

// mebi is bytes in MiB, rounded up.
func mebi(bytes int64) int64 { return (bytes + 1<<20 - 1) >> 20 }

// room is the free space of the disk, and how far the embedding cache may grow
// within it. What the migrations under way or queued will still take is in
// neither. An error is that of the disk; cache is known all the same.
func (s *Service) room() (free, cache int64, err error) {
	free, err = s.free()
	if stats := s.CacheStats(); stats != nil {
		cache = max(0, stats.MaxBytes-stats.Bytes)
	}
	s.migrations.mu.Lock()
	defer s.migrations.mu.Unlock()
	for _, m := range s.migrations.active {
		generation, cached := m.outstanding()
		cached = min(cached, cache)
		free, cache = max(0, free-generation-cached), cache-cached
	}
	return free, cache, err
}

// outstanding is what the documents that the standby lacks will take of the
// disk, and of the embedding cache if that has room.
func (m *migration) outstanding() (generation, cached int64) {
	p := m.c.now()
	s, ok := m.c.stored.Standby()
	if !ok || p.standby == nil {
		return 0, 0
	}
	lacking := s.Documents - s.Filled
	if !p.derived && p.standby.cached() {
		cached = cacheNeed(p.standby.manifest, lacking)
	}
	return diskNeed(p.standby.manifest, lacking), cached
}

// diskNeed is what the second generation takes on the disk: its vectors, and
// its graph in two checkpoints, of which one may be half written.
func diskNeed(m compat.Manifest, documents int) int64 {
	return int64(documents) * (vectorBytes(m) + 2*graphBytes(m))
}

// cacheNeed is what the vectors of documents take in the embedding cache, with
// their keys there and in the list of a segment.
func cacheNeed(m compat.Manifest, documents int) int64 {
	return int64(documents) * (int64(4*m.Space.Dimension) + 112)
}

// memoryNeed is what the second generation takes in memory: its graph, and the
// weights of its encoder where no collection has it.
func memoryNeed(m compat.Manifest, encoder *served, documents int) int64 {
	need := int64(documents) * graphBytes(m)
	if encoder != nil && encoder.alone() {
		need += encoder.weights
	}
	return need
}

// vectorBytes is a stored vector with its key.
func vectorBytes(m compat.Manifest) int64 { return int64(4*m.Space.Dimension) + 24 }

// graphBytes is what an engine holds of one vector.
func graphBytes(m compat.Manifest) int64 {
	links := int64(4 * (2*m.Index.M + m.Index.M/8 + 4))
	dim := int64(m.Space.Dimension)
	switch m.Index.Encoding {
	case compat.EncodingInt8:
		return 2*dim + 32 + links
	case compat.EncodingLVQ4x8:
		return dim*3/2 + 32 + links
	}
	return 4*dim + links
}
