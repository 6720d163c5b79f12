package store

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Records begin with a version byte; integers in them are little-endian. See
// doc.go for the drawings. Decoding is strict: a record that is too short, has
// bytes left over or an unknown version or flag is refused.
const (
	documentVersion   = 1
	stateVersion      = 1
	stateBoth         = 2 // a state with a standby
	logVersion        = 1
	logFilled         = 2 // what a generation got of ordinals that were there
	checkpointVersion = 2
)

var errRecord = errors.New("malformed record")

// contentHash is the SHA-256 of a document's text and payload.
type contentHash [sha256.Size]byte

// head is the fixed start of a document record: all that the write path and
// the verification need.
type head struct {
	version uint64 // sequence number of the last change
	ordinal uint32 // names the vector
	hash    contentHash
}

// The offsets of a document record.
const (
	headVersion = 1
	headOrdinal = headVersion + 8
	headHash    = headOrdinal + 4
	headFlags   = headHash + sha256.Size
	headLength  = headFlags + 1
)

// The flags of a document record.
const (
	flagText    = 1 << 0
	flagPayload = 1 << 1
)

// encodeDocument is the record of d with version and ordinal still zero:
// sealHead fills them in when the commit assigns them.
func encodeDocument(d *Document) []byte {
	record := make([]byte, headLength, headLength+binary.MaxVarintLen64+len(d.Text)+len(d.Payload))
	record[0] = documentVersion
	if d.HasText {
		record[headFlags] |= flagText
		record = binary.AppendUvarint(record, uint64(len(d.Text)))
		record = append(record, d.Text...)
	}
	if len(d.Payload) > 0 {
		record[headFlags] |= flagPayload
		record = append(record, d.Payload...)
	}
	hash := sha256.Sum256(record[headFlags:])
	copy(record[headHash:], hash[:])
	return record
}

// sealHead writes version and ordinal into a record of encodeDocument and
// returns its head.
func sealHead(record []byte, version uint64, ordinal uint32) head {
	binary.LittleEndian.PutUint64(record[headVersion:], version)
	binary.LittleEndian.PutUint32(record[headOrdinal:], ordinal)
	return head{version: version, ordinal: ordinal, hash: contentHash(record[headHash:headFlags])}
}

// decodeHead reads the fixed start of a document record.
func decodeHead(record []byte) (head, error) {
	if len(record) < headLength {
		return head{}, fmt.Errorf("%w: document of %d bytes", errRecord, len(record))
	}
	if record[0] != documentVersion {
		return head{}, fmt.Errorf("%w: document of version %d", errRecord, record[0])
	}
	return head{
		version: binary.LittleEndian.Uint64(record[headVersion:]),
		ordinal: binary.LittleEndian.Uint32(record[headOrdinal:]),
		hash:    contentHash(record[headHash:headFlags]),
	}, nil
}

// splitDocument finds the parts of a record within it; payload is nil where
// there is none.
func splitDocument(record []byte) (h head, text []byte, hasText bool, payload []byte, err error) {
	if h, err = decodeHead(record); err != nil {
		return head{}, nil, false, nil, err
	}
	flags, rest := record[headFlags], record[headLength:]
	if flags&^(flagText|flagPayload) != 0 {
		return head{}, nil, false, nil, fmt.Errorf("%w: document with flags %#x", errRecord, flags)
	}
	if hasText = flags&flagText != 0; hasText {
		length, n := binary.Uvarint(rest)
		if n <= 0 || length > uint64(len(rest)-n) {
			return head{}, nil, false, nil, fmt.Errorf("%w: text of a document runs past its end", errRecord)
		}
		text, rest = rest[n:n+int(length)], rest[n+int(length):]
	}
	if hasPayload := flags&flagPayload != 0; hasPayload != (len(rest) > 0) {
		return head{}, nil, false, nil, fmt.Errorf("%w: document with %d bytes behind its text", errRecord, len(rest))
	}
	if len(rest) > 0 {
		payload = rest
	}
	return h, text, hasText, payload, nil
}

// decodeDocument reads a record; the document owns its memory.
func decodeDocument(id ID, record []byte) (Document, head, error) {
	h, text, hasText, payload, err := splitDocument(record)
	if err != nil {
		return Document{}, head{}, err
	}
	d := Document{ID: id, Version: h.version, HasText: hasText, Text: string(text)}
	if payload != nil {
		d.Payload = append([]byte(nil), payload...)
	}
	return d, h, nil
}

// state is what a collection knows of itself, committed with every batch.
type state struct {
	sequence uint64 // of the last committed batch; the first is 1
	next     uint64 // the next ordinal to hand out, 0..2^32
	live     uint64 // documents
	digest   digest // sum over the live documents
	standby  standbyState
}

// standbyState is what a collection knows of the generation that stands by.
type standbyState struct {
	generation uint64 // 0: there is none
	filled     uint64 // ordinals that have a vector in it
	digest     digest // sum over these of ordinal and id
}

const (
	stateLength     = 1 + 8 + 8 + 8 + 16
	stateBothLength = stateLength + 8 + 8 + 16
)

func (s state) encode() []byte {
	record := append(make([]byte, 0, stateBothLength), stateVersion)
	for _, n := range [...]uint64{s.sequence, s.next, s.live, s.digest.low, s.digest.high} {
		record = binary.LittleEndian.AppendUint64(record, n)
	}
	if s.standby.generation == 0 {
		return record
	}
	record[0] = stateBoth
	for _, n := range [...]uint64{s.standby.generation, s.standby.filled, s.standby.digest.low, s.standby.digest.high} {
		record = binary.LittleEndian.AppendUint64(record, n)
	}
	return record
}

func decodeState(record []byte) (state, error) {
	both := len(record) == stateBothLength && record[0] == stateBoth
	if !both && (len(record) != stateLength || record[0] != stateVersion) {
		return state{}, fmt.Errorf("%w: collection state of %d bytes", errRecord, len(record))
	}
	field := func(i int) uint64 { return binary.LittleEndian.Uint64(record[1+8*i:]) }
	s := state{sequence: field(0), next: field(1), live: field(2), digest: digest{low: field(3), high: field(4)}}
	if both {
		s.standby = standbyState{generation: field(5), filled: field(6), digest: digest{low: field(7), high: field(8)}}
		if s.standby.generation == 0 {
			return state{}, fmt.Errorf("%w: collection state with a standby of generation 0", errRecord)
		}
	}
	return s, nil
}

// logOp is one change of the index: ordinals are never reused and a vector
// never changes under its ordinal, so replaying an op twice does no harm.
type logOp struct {
	remove  bool
	ordinal uint32
	only    uint64 // the generation that it is of; 0: of all that have the ordinal's vector
}

const logOpLength = 1 + 4

func encodeLog(ops []logOp) []byte {
	record := append(make([]byte, 0, 1+len(ops)*logOpLength), logVersion)
	for _, op := range ops {
		var kind byte
		if op.remove {
			kind = 1
		}
		record = binary.LittleEndian.AppendUint32(append(record, kind), op.ordinal)
	}
	return record
}

// encodeFilled is the log entry of ordinals that a generation got vectors of.
func encodeFilled(generation uint64, ordinals []uint32) []byte {
	record := append(make([]byte, 0, 1+8+4*len(ordinals)), logFilled)
	record = binary.LittleEndian.AppendUint64(record, generation)
	for _, ordinal := range ordinals {
		record = binary.LittleEndian.AppendUint32(record, ordinal)
	}
	return record
}

func decodeFilled(record []byte) ([]logOp, error) {
	if len(record) < 9 || (len(record)-9)%4 != 0 {
		return nil, fmt.Errorf("%w: log entry of %d bytes", errRecord, len(record))
	}
	generation := binary.LittleEndian.Uint64(record[1:])
	if generation == 0 {
		return nil, fmt.Errorf("%w: log entry of generation 0", errRecord)
	}
	ops := make([]logOp, 0, (len(record)-9)/4)
	for record = record[9:]; len(record) > 0; record = record[4:] {
		ops = append(ops, logOp{ordinal: binary.LittleEndian.Uint32(record), only: generation})
	}
	return ops, nil
}

func decodeLog(record []byte) ([]logOp, error) {
	if len(record) > 0 && record[0] == logFilled {
		return decodeFilled(record)
	}
	if len(record) < 1 || record[0] != logVersion || (len(record)-1)%logOpLength != 0 {
		return nil, fmt.Errorf("%w: log entry of %d bytes", errRecord, len(record))
	}
	ops := make([]logOp, 0, len(record)/logOpLength)
	for record = record[1:]; len(record) > 0; record = record[logOpLength:] {
		if record[0] > 1 {
			return nil, fmt.Errorf("%w: log operation %d", errRecord, record[0])
		}
		ops = append(ops, logOp{remove: record[0] == 1, ordinal: binary.LittleEndian.Uint32(record[1:])})
	}
	return ops, nil
}

// checkpointHeader makes the chunks of one checkpoint count: without it they
// are leftovers. A chunk that had not changed stays where an earlier checkpoint
// wrote it.
type checkpointHeader struct {
	number   uint64
	sequence uint64   // every batch up to it is in the chunks
	written  []uint64 // by chunk, the head last: the number of the checkpoint that wrote it
}

const checkpointLength = 1 + 2*8 // and the chunks

func (h checkpointHeader) encode() []byte {
	record := append(make([]byte, 0, checkpointLength+2*len(h.written)), checkpointVersion)
	record = binary.LittleEndian.AppendUint64(record, h.number)
	record = binary.LittleEndian.AppendUint64(record, h.sequence)
	for _, n := range h.written {
		record = binary.AppendUvarint(record, h.number-n)
	}
	return record
}

func decodeCheckpoint(record []byte) (checkpointHeader, error) {
	if len(record) < checkpointLength || record[0] != checkpointVersion {
		return checkpointHeader{}, fmt.Errorf("%w: checkpoint header of %d bytes", errRecord, len(record))
	}
	h := checkpointHeader{number: binary.LittleEndian.Uint64(record[1:]), sequence: binary.LittleEndian.Uint64(record[9:])}
	for rest := record[checkpointLength:]; len(rest) > 0; {
		age, n := binary.Uvarint(rest)
		if n <= 0 || age >= h.number {
			return checkpointHeader{}, fmt.Errorf("%w: chunk %d of checkpoint %d", errRecord, len(h.written), h.number)
		}
		h.written = append(h.written, h.number-age)
		rest = rest[n:]
	}
	return h, nil
}

// encodeVector is the row as little-endian float32s, 4 bytes each.
func encodeVector(row []float32) []byte {
	record := make([]byte, 0, 4*len(row))
	for _, x := range row {
		record = binary.LittleEndian.AppendUint32(record, math.Float32bits(x))
	}
	return record
}

// appendVector appends a record's floats to rows; it refuses a record that is
// not of dim floats.
func appendVector(rows []float32, record []byte, dim int) ([]float32, error) {
	if len(record) != 4*dim {
		return nil, fmt.Errorf("%w: vector of %d bytes; want %d floats", errRecord, len(record), dim)
	}
	for i := range dim {
		rows = append(rows, math.Float32frombits(binary.LittleEndian.Uint32(record[4*i:])))
	}
	return rows, nil
}
