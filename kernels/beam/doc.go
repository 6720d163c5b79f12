// Package beam keeps the nearest items that a walk has met, in order.
//
// An item is a key and an id in one word, key << 32 | id << 1, that sorts by key
// and then by id; the lowest bit is its owner's mark. A beam is a slice of items,
// a positive multiple of 8 long, ascending; its places beyond the items that
// there are hold Empty, which is greater than any of them.
//
// Insert is written in plain Go and in assembly, which give the same beam. It
// does not allocate, or retain its arguments, and is safe for concurrent use as
// far as beams differ.
package beam
