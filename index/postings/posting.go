package postings

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// fewOrdinals is up to how many ordinals a posting is a slice. A roaring bitmap
// of one ordinal takes about as much memory as a slice of 40, and most words of
// a text are rare.
const fewOrdinals = 32

// posting is the ordinals of one term.
type posting struct {
	few  []uint32        // ascending; unused when many is there
	many *roaring.Bitmap // nil: few
}

func (p *posting) add(ordinal uint32) {
	if p.many != nil {
		p.many.Add(ordinal)
		return
	}
	i, found := slices.BinarySearch(p.few, ordinal)
	switch {
	case found:
	case len(p.few) < fewOrdinals:
		p.few = slices.Insert(p.few, i, ordinal)
	default:
		p.many = roaring.BitmapOf(p.few...)
		p.many.Add(ordinal)
		p.few = nil
	}
}

// remove takes an ordinal out and reports whether none is left.
func (p *posting) remove(ordinal uint32) (empty bool) {
	if p.many != nil {
		p.many.Remove(ordinal)
		return p.many.IsEmpty()
	}
	if i, found := slices.BinarySearch(p.few, ordinal); found {
		p.few = slices.Delete(p.few, i, i+1)
	}
	return len(p.few) == 0
}

// addTo adds the ordinals to a bitmap. A nil posting has none.
func (p *posting) addTo(b *roaring.Bitmap) {
	switch {
	case p == nil:
	case p.many != nil:
		b.Or(p.many)
	default:
		b.AddMany(p.few)
	}
}

// bitmap is the ordinals in a bitmap that must not be changed.
func (p *posting) bitmap() *roaring.Bitmap {
	switch {
	case p == nil:
		return roaring.New()
	case p.many != nil:
		return p.many
	}
	return roaring.BitmapOf(p.few...)
}

// count is the number of ordinals.
func (p *posting) count() uint64 {
	switch {
	case p == nil:
		return 0
	case p.many != nil:
		return p.many.GetCardinality()
	}
	return uint64(len(p.few))
}

// The memory of what is not counted by itself: a posting with its place in the
// map of terms, and a slice or bitmap around it.
const (
	postingBytes = 32 + 16 + 24
	bitmapBytes  = 128
)

// bytes estimates the memory of a posting.
func (p *posting) bytes() int64 {
	if p.many != nil {
		return postingBytes + bitmapBytes + int64(p.many.GetSizeInBytes())
	}
	return postingBytes + 4*int64(cap(p.few))
}
