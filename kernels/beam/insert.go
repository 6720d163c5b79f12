package beam

import "fmt"

// Empty stands in the places of a beam that no item has.
const Empty = 1<<64 - 1

// Insert puts item keys[i]<<32 | ids[i]<<1 where it belongs, for each i below
// len(keys) in turn whose key is below that of items[limit-1]. The last item of
// the beam gives way to it. It returns the lowest place at which an item was
// inserted, len(items) if none was.
//
// ids has at least as many elements as keys, and all are below 1<<31; limit is
// within 1..len(items).
func Insert(items []uint64, limit int, keys, ids []uint32) (first int) {
	if len(items)%8 != 0 || limit < 1 || limit > len(items) || len(ids) < len(keys) {
		panic(fmt.Sprintf("beam: Insert of %d keys and %d ids into %d places limited to %d", len(keys), len(ids), len(items), limit))
	}
	if len(keys) == 0 {
		return len(items)
	}
	return insert(items, limit, keys, ids)
}

// insertGeneric is the reference.
func insertGeneric(items []uint64, limit int, keys, ids []uint32) (first int) {
	first = len(items)
	worst := uint32(items[limit-1] >> 32)
	for i, key := range keys {
		if key >= worst {
			continue
		}
		item := uint64(key)<<32 | uint64(ids[i])<<1
		lo, hi := 0, len(items)-1
		for lo < hi {
			if mid := int(uint(lo+hi) >> 1); items[mid] < item {
				lo = mid + 1
			} else {
				hi = mid
			}
		}
		copy(items[lo+1:], items[lo:])
		items[lo] = item
		first = min(first, lo)
		worst = uint32(items[limit-1] >> 32)
	}
	return first
}
