package store

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/vecino-db/vecino/index/filter"
)

// The flags of a posting record.
const (
	postingFilled   = 1 << 0
	postingNull     = 1 << 1
	postingOther    = 1 << 2
	postingSeveral  = 1 << 3
	postingOneCount = 1 << 4 // one value of one element, which most have
	postingNoCount  = 1 << 5
	postingFlags    = 1<<6 - 1
)

// encodeSummary is the record of what a document holds at a path.
func encodeSummary(s filter.Summary) []byte {
	size := 2 + 8*len(s.Keys) + 2*len(s.Counts)
	for _, t := range s.Terms {
		size += 2 + len(t)
	}
	record := make([]byte, 1, size)
	for bit, set := range [...]bool{s.Filled, s.Null, s.Other, s.Several, len(s.Counts) == 1 && s.Counts[0] == 1, s.Counts == nil} {
		if set {
			record[0] |= 1 << bit
		}
	}
	if record[0]&(postingOneCount|postingNoCount) == 0 {
		record = binary.AppendUvarint(record, uint64(len(s.Counts)))
		for _, n := range s.Counts {
			record = binary.AppendUvarint(record, uint64(n))
		}
	}
	record = binary.AppendUvarint(record, uint64(len(s.Keys)))
	for _, k := range s.Keys {
		record = binary.LittleEndian.AppendUint64(record, uint64(k))
	}
	for _, t := range s.Terms {
		record = append(binary.AppendUvarint(record, uint64(len(t))), t...)
	}
	return record
}

// decodeSummary reads what encodeSummary wrote. The summary owns its memory.
func decodeSummary(record []byte) (s filter.Summary, err error) {
	if len(record) == 0 || record[0]&^postingFlags != 0 {
		return s, fmt.Errorf("%w: posting of %d bytes", errRecord, len(record))
	}
	flags := record[0]
	s.Filled, s.Null, s.Other, s.Several = flags&postingFilled != 0, flags&postingNull != 0, flags&postingOther != 0, flags&postingSeveral != 0
	rest := record[1:]
	// number reads a number that is at most as large as what is left, in units
	// of a size; 0: any number.
	number := func(unit int) (n uint64) {
		n, used := binary.Uvarint(rest)
		if used <= 0 || unit > 0 && n > uint64(len(rest)-used)/uint64(unit) {
			err = fmt.Errorf("%w: a number in a posting runs past its end", errRecord)
			return 0
		}
		rest = rest[used:]
		return n
	}
	switch {
	case flags&postingOneCount != 0:
		s.Counts = []uint32{1}
	case flags&postingNoCount == 0:
		s.Counts = make([]uint32, number(1))
		for i := range s.Counts {
			s.Counts[i] = uint32(number(0))
		}
	}
	if n := number(8); n > 0 && err == nil {
		s.Keys = make([]filter.Key, n)
		for i := range s.Keys {
			s.Keys[i] = filter.Key(binary.LittleEndian.Uint64(rest[8*i:]))
		}
		rest = rest[8*n:]
	}
	for len(rest) > 0 && err == nil {
		n := number(1)
		s.Terms = append(s.Terms, string(rest[:n]))
		rest = rest[n:]
	}
	return s, err
}

// postingSum counts the records of a payload index.
type postingSum struct {
	sequence uint64 // of the last batch that knew of the index
	records  uint64
	sum      uint64
}

const (
	postingSumVersion = 1
	postingSumLength  = 1 + 3*8
)

func (p postingSum) encode() []byte {
	record := append(make([]byte, 0, postingSumLength), postingSumVersion)
	for _, n := range [...]uint64{p.sequence, p.records, p.sum} {
		record = binary.LittleEndian.AppendUint64(record, n)
	}
	return record
}

func decodePostingSum(record []byte) (postingSum, error) {
	if len(record) != postingSumLength || record[0] != postingSumVersion {
		return postingSum{}, fmt.Errorf("%w: sum of postings of %d bytes", errRecord, len(record))
	}
	field := func(i int) uint64 { return binary.LittleEndian.Uint64(record[1+8*i:]) }
	return postingSum{sequence: field(0), records: field(1), sum: field(2)}, nil
}

// add counts a record, subtract takes it back.
func (p *postingSum) add(ordinal uint32, record []byte) {
	p.records++
	p.sum += postingElement(ordinal, record)
}

func (p *postingSum) subtract(ordinal uint32, record []byte) {
	p.records--
	p.sum -= postingElement(ordinal, record)
}

// postingElement mixes the hash of a record with its ordinal (the finalizer of
// MurmurHash3), so that records can't change places unnoticed.
func postingElement(ordinal uint32, record []byte) uint64 {
	h := xxhash.Sum64(record) ^ uint64(ordinal)*0x9e3779b97f4a7c15
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	return h ^ h>>33
}
