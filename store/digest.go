package store

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// digest is a sum modulo 2^128 over a set: it does not depend on the order of
// its elements, and an element is taken out by subtraction. That lets each
// batch commit the digest of the whole collection at the cost of its own
// documents. It finds what damage loses; it is no defence against somebody who
// chooses documents to collide (Bellare and Micciancio 1997 on AdHash).
type digest struct{ low, high uint64 }

func (d digest) plus(e digest) digest {
	low, carry := bits.Add64(d.low, e.low, 0)
	high, _ := bits.Add64(d.high, e.high, carry)
	return digest{low: low, high: high}
}

func (d digest) minus(e digest) digest {
	low, borrow := bits.Sub64(d.low, e.low, 0)
	high, _ := bits.Sub64(d.high, e.high, borrow)
	return digest{low: low, high: high}
}

// hashed is the start of SHA-256 over bytes.
func hashed(bytes []byte) digest {
	sum := sha256.Sum256(bytes)
	return digest{low: binary.LittleEndian.Uint64(sum[:]), high: binary.LittleEndian.Uint64(sum[8:])}
}

// documentElement is the element of one document. Version, ordinal and hash
// have fixed lengths, so the id, which stands last, needs none.
func documentElement(id ID, h head) digest {
	var buffer [96]byte
	bytes := binary.LittleEndian.AppendUint64(buffer[:0], h.version)
	bytes = binary.LittleEndian.AppendUint32(bytes, h.ordinal)
	bytes = append(bytes, h.hash[:]...)
	return hashed(appendID(bytes, id))
}

// ordinalElement is the element of one entry of the ordinal table.
func ordinalElement(ordinal uint32, id []byte) digest {
	var buffer [96]byte
	bytes := binary.LittleEndian.AppendUint32(buffer[:0], ordinal)
	return hashed(append(bytes, id...))
}
