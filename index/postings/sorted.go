package postings

import (
	"cmp"
	"slices"
	"sort"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vecino-db/vecino/index/filter"
)

// blockEntries is the size at which a block is split into halves: small enough
// for an insertion to move few bytes, large enough for a range over a million
// documents to unite some hundred bitmaps.
const blockEntries = 2048

// sorted is (key, ordinal) pairs in that order.
type sorted struct {
	blocks []*block // none is empty
}

// block is some neighbouring entries, in parallel slices.
type block struct {
	keys     []filter.Key
	ordinals []uint32
	set      *roaring.Bitmap // of ordinals
}

// compareEntry orders entries.
func compareEntry(k filter.Key, o uint32, key filter.Key, ordinal uint32) int {
	if c := cmp.Compare(k, key); c != 0 {
		return c
	}
	return cmp.Compare(o, ordinal)
}

// at is the first place in the block that is not below an entry.
func (b *block) at(key filter.Key, ordinal uint32) int {
	return sort.Search(len(b.keys), func(i int) bool { return compareEntry(b.keys[i], b.ordinals[i], key, ordinal) >= 0 })
}

// blockOf is the last block that begins at or below an entry, or the first.
func (s *sorted) blockOf(key filter.Key, ordinal uint32) int {
	after := sort.Search(len(s.blocks), func(i int) bool {
		b := s.blocks[i]
		return compareEntry(b.keys[0], b.ordinals[0], key, ordinal) > 0
	})
	return max(after-1, 0)
}

func (s *sorted) add(key filter.Key, ordinal uint32) {
	if len(s.blocks) == 0 {
		s.blocks = []*block{{keys: []filter.Key{key}, ordinals: []uint32{ordinal}, set: roaring.BitmapOf(ordinal)}}
		return
	}
	n := s.blockOf(key, ordinal)
	b := s.blocks[n]
	i := b.at(key, ordinal)
	if i < len(b.keys) && b.keys[i] == key && b.ordinals[i] == ordinal {
		return
	}
	b.keys = slices.Insert(b.keys, i, key)
	b.ordinals = slices.Insert(b.ordinals, i, ordinal)
	b.set.Add(ordinal)
	if len(b.keys) < blockEntries {
		return
	}
	half := len(b.keys) / 2
	if i == len(b.keys)-1 && n == len(s.blocks)-1 {
		half = len(b.keys) * 15 / 16 // ever greater keys, of times for example, leave blocks nearly full
	}
	right := &block{keys: slices.Clone(b.keys[half:]), ordinals: slices.Clone(b.ordinals[half:])}
	right.set = roaring.BitmapOf(right.ordinals...)
	b.keys, b.ordinals = slices.Clone(b.keys[:half]), slices.Clone(b.ordinals[:half])
	b.set = roaring.BitmapOf(b.ordinals...)
	s.blocks = slices.Insert(s.blocks, n+1, right)
}

func (s *sorted) remove(key filter.Key, ordinal uint32) {
	if len(s.blocks) == 0 {
		return
	}
	n := s.blockOf(key, ordinal)
	b := s.blocks[n]
	i := b.at(key, ordinal)
	if i == len(b.keys) || b.keys[i] != key || b.ordinals[i] != ordinal {
		return
	}
	b.keys = slices.Delete(b.keys, i, i+1)
	b.ordinals = slices.Delete(b.ordinals, i, i+1)
	if !slices.Contains(b.ordinals, ordinal) { // a document may have several keys
		b.set.Remove(ordinal)
	}
	if len(b.keys) == 0 {
		s.blocks = slices.Delete(s.blocks, n, n+1)
	}
}

// between is the ordinals that have a key within an interval.
func (s *sorted) between(in filter.Interval) *roaring.Bitmap {
	if in.Low > in.High || len(s.blocks) == 0 {
		return roaring.New()
	}
	var whole []*roaring.Bitmap
	edges := roaring.New()
	for _, b := range s.blocks[s.blockOf(in.Low, 0):] {
		if b.keys[0] > in.High {
			break
		}
		if b.keys[0] >= in.Low && b.keys[len(b.keys)-1] <= in.High {
			whole = append(whole, b.set)
			continue
		}
		from := b.at(in.Low, 0)
		to := sort.Search(len(b.keys), func(i int) bool { return b.keys[i] > in.High })
		if from < to {
			edges.AddMany(b.ordinals[from:to])
		}
	}
	if len(whole) == 0 {
		return edges
	}
	return roaring.FastOr(append(whole, edges)...)
}

// bytes estimates the memory.
func (s *sorted) bytes() (total int64) {
	for _, b := range s.blocks {
		total += 8*int64(cap(b.keys)) + 4*int64(cap(b.ordinals)) + bitmapBytes + int64(b.set.GetSizeInBytes())
	}
	return total
}
