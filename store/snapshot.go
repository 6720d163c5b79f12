package store

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/vecino-db/vecino/compat"
)

// A snapshot is one collection in one file: its manifest, and every point with
// its vector. The graph is not in it; it is built anew. Numbers are
// little-endian:
//
//	8 bytes  magic 89 'V' 'E' 'C' 'S' 'N' 'P' 0A
//	4        version (1)
//	frames, each:
//	  1      kind: 'H' head, 'P' points, 'E' end
//	  4      length of the payload
//	  32     SHA-256 of kind, length and payload
//	  the payload
//
// One head comes first, one end last, and nothing behind it:
//
//	head     uvarint length, SnapshotInfo as JSON; the manifest, in its canonical
//	         encoding, to the end
//	points   for each, in the order of keys: uvarint length, the id as in keys;
//	         uvarint length, flags, text and payload as in a document's record;
//	         dimension x 4 bytes
//	end      8 bytes: points in the file; 32: SHA-256 of the SHA-256 of all frames
//	         before, in their order
//
// So no frame can be changed, left out, repeated or brought from another
// snapshot. There are no names of files in it and nothing is compressed: it can
// lead nowhere, and it needs no more memory than a frame has bytes.
const (
	snapshotMagic   = "\x89VECSNP\n"
	snapshotVersion = 1
	frameHeader     = 1 + 4 + sha256.Size
	// frameTarget is the size at which a frame of points is closed; one point
	// may make it larger.
	frameTarget = 1 << 20
	// maxFrame is the largest payload: one point of the largest parts.
	maxFrame = frameTarget + MaxTextBytes + MaxPayloadBytes + 4*compat.MaxDimension + 4096
)

// The kinds of frames.
const (
	frameHead   = 'H'
	framePoints = 'P'
	frameEnd    = 'E'
)

// ErrSnapshot is the error of a file that is no snapshot, or is damaged or not
// whole. Nothing of it was used.
var ErrSnapshot = errors.New("unusable snapshot")

// SnapshotInfo is what a snapshot says of itself.
type SnapshotInfo struct {
	Collection  string             `json:"collection"`
	Fingerprint compat.Fingerprint `json:"fingerprint"`
	Dimension   int                `json:"dimension"`
	Points      int                `json:"points"`
	Sequence    uint64             `json:"sequence"` // of the last change that is in it
	CreatedAt   time.Time          `json:"created_at"`
	// PayloadIndexes are made again, from the payloads.
	PayloadIndexes []IndexedField `json:"payload_indexes,omitempty"`
	// Manifest is beside the JSON in the file.
	Manifest compat.Manifest `json:"-"`
	// Digest is the SHA-256 in the end frame, which names the snapshot.
	Digest [sha256.Size]byte `json:"-"`
}

// IndexedField is a payload index that a snapshot knows of: see PayloadIndex.
type IndexedField struct {
	Field  string          `json:"field"`
	Type   PayloadType     `json:"type"`
	Params json.RawMessage `json:"params,omitempty"`
}

// wrongSnapshot is shorthand for what a reader finds.
func wrongSnapshot(format string, args ...any) error {
	return fmt.Errorf("%w: %w; nothing of it was used: take another copy of it", ErrSnapshot, fmt.Errorf(format, args...))
}

// frameWriter writes frames.
type frameWriter struct {
	w    io.Writer
	sums hash.Hash // over the sums of all frames
}

func newFrameWriter(w io.Writer) (*frameWriter, error) {
	f := &frameWriter{w: w, sums: sha256.New()}
	_, err := w.Write(binary.LittleEndian.AppendUint32([]byte(snapshotMagic), snapshotVersion))
	return f, err
}

// frame writes one, and takes its sum down.
func (f *frameWriter) frame(kind byte, payload []byte) error {
	header := binary.LittleEndian.AppendUint32([]byte{kind}, uint32(len(payload)))
	sum := frameSum(header, payload)
	f.sums.Write(sum[:])
	if _, err := f.w.Write(append(header, sum[:]...)); err != nil {
		return err
	}
	_, err := f.w.Write(payload)
	return err
}

func frameSum(header, payload []byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	h.Write(header)
	h.Write(payload)
	return [sha256.Size]byte(h.Sum(nil))
}

// end closes the list of frames.
func (f *frameWriter) end(points int) (digest [sha256.Size]byte, err error) {
	digest = [sha256.Size]byte(f.sums.Sum(nil))
	return digest, f.frame(frameEnd, append(binary.LittleEndian.AppendUint64(nil, uint64(points)), digest[:]...))
}

// frameReader reads frames and holds each against its sum.
type frameReader struct {
	r       io.Reader
	sums    hash.Hash
	payload []byte
}

func newFrameReader(r io.Reader) (*frameReader, error) {
	var start [len(snapshotMagic) + 4]byte
	if _, err := io.ReadFull(r, start[:]); err != nil || string(start[:len(snapshotMagic)]) != snapshotMagic {
		return nil, wrongSnapshot("it does not begin as a snapshot does")
	}
	if v := binary.LittleEndian.Uint32(start[len(snapshotMagic):]); v != snapshotVersion {
		return nil, wrongSnapshot("it has version %d, and this program reads %d", v, snapshotVersion)
	}
	return &frameReader{r: r, sums: sha256.New()}, nil
}

// next reads a frame; its payload is valid until the next one. Memory grows
// with the bytes that are there, not with those that are claimed.
func (f *frameReader) next() (kind byte, payload []byte, err error) {
	var header [frameHeader]byte
	if _, err := io.ReadFull(f.r, header[:]); err != nil {
		return 0, nil, wrongSnapshot("it ends before its end frame")
	}
	length := int64(binary.LittleEndian.Uint32(header[1:]))
	if length > maxFrame {
		return 0, nil, wrongSnapshot("a frame of %d bytes; the largest has %d", length, maxFrame)
	}
	for f.payload = f.payload[:0]; int64(len(f.payload)) < length; {
		at := len(f.payload)
		more := min(length-int64(at), max(frameTarget, int64(at)))
		if int64(cap(f.payload)-at) < more {
			f.payload = append(make([]byte, 0, int64(at)+more), f.payload...)
		}
		f.payload = f.payload[:int64(at)+more]
		if _, err := io.ReadFull(f.r, f.payload[at:]); err != nil {
			return 0, nil, wrongSnapshot("it ends within a frame")
		}
	}
	sum := frameSum(header[:5], f.payload)
	if sum != [sha256.Size]byte(header[5:]) {
		return 0, nil, wrongSnapshot("a frame has another checksum than it says")
	}
	if header[0] == frameEnd {
		return frameEnd, f.payload, f.checkEnd()
	}
	f.sums.Write(sum[:])
	return header[0], f.payload, nil
}

// checkEnd holds the end frame against all before, and wants nothing behind it.
func (f *frameReader) checkEnd() error {
	if len(f.payload) != 8+sha256.Size || string(f.payload[8:]) != string(f.sums.Sum(nil)) {
		return wrongSnapshot("its frames are not those that its end frame lists")
	}
	var behind [1]byte
	if _, err := io.ReadFull(f.r, behind[:]); !errors.Is(err, io.EOF) {
		return wrongSnapshot("it goes on behind its end frame")
	}
	return nil
}

// encodeHead is the payload of the head frame.
func (i SnapshotInfo) encodeHead() ([]byte, error) {
	line, err := json.Marshal(i)
	if err != nil {
		return nil, err
	}
	manifest, err := i.Manifest.MarshalBinary()
	if err != nil {
		return nil, err
	}
	return append(append(binary.AppendUvarint(nil, uint64(len(line))), line...), manifest...), nil
}

// decodeHeadFrame reads it, and holds its parts against each other.
func decodeHeadFrame(payload []byte) (SnapshotInfo, error) {
	var i SnapshotInfo
	line, rest, ok := cutCounted(payload)
	if !ok {
		return i, wrongSnapshot("its head is cut")
	}
	if err := decodeJSON(line, &i); err != nil {
		return i, wrongSnapshot("its head: %w", err)
	}
	if err := i.Manifest.UnmarshalBinary(rest); err != nil {
		return i, wrongSnapshot("its manifest: %w", err)
	}
	if err := i.Manifest.Validate(); err != nil {
		return i, wrongSnapshot("its manifest: %w", err)
	}
	for _, f := range i.PayloadIndexes {
		if _, err := newPayloadIndex(0, payloadRecord{Field: f.Field, Type: f.Type}); err != nil || f.Type.kind() == 0 {
			return i, wrongSnapshot("its payload index of %.80q can't be made: %v", f.Field, err)
		}
	}
	switch space := i.Manifest.Space; {
	case len(i.PayloadIndexes) > maxPayloadIndexes:
		return i, wrongSnapshot("it has %d payload indexes, over %d", len(i.PayloadIndexes), maxPayloadIndexes)
	case !space.Fingerprint().Matches(i.Fingerprint) || space.Dimension != i.Dimension:
		return i, wrongSnapshot("its manifest is of another space than its head says")
	case checkName(i.Collection) != nil || i.Points < 0:
		return i, wrongSnapshot("its head names collection %.80q and %d points", i.Collection, i.Points)
	}
	return i, nil
}

// cutCounted cuts bytes off that follow their length.
func cutCounted(b []byte) (part, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, false
	}
	return b[size : size+int(n)], b[size+int(n):], true
}
