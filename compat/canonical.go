package compat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Why the bytes of a manifest are refused. All but ErrSchema and
// ErrUnknownField are ErrCorrupt.
var (
	// ErrSchema: the manifest was written by a newer vecino.
	ErrSchema = errors.New("written by a newer vecino: use that version or a later one")
	// ErrUnknownField: the manifest has a field that this program does not
	// know, so it can't say what the field means.
	ErrUnknownField = errors.New("unknown field: use the version of vecino that wrote it")
	// ErrCorrupt: the bytes are no manifest in the canonical encoding.
	ErrCorrupt = errors.New("damaged manifest: restore it from a snapshot")
)

// magic opens the encoding of a manifest, in every schema.
const magic = "vecino manifest\n"

// maxEncoded bounds an encoded manifest, so that every length fits its uint32.
const maxEncoded = 1 << 30

// MarshalBinary is the canonical encoding drawn in the package's comment.
// Equal manifests have equal encodings, differing ones differing encodings;
// nil and empty slices and maps are equal, and so are times that differ in
// zone only. It refuses a schema that this program can't write (WithDefaults
// sets it), times outside the years 0 to 9999, and encodings beyond 1 GiB.
func (m Manifest) MarshalBinary() ([]byte, error) {
	if m.Schema < 1 || m.Schema > SchemaVersion {
		return nil, fmt.Errorf("encode manifest: schema is %d: allowed is 1..%d: %w", m.Schema, SchemaVersion, ErrInvalid)
	}
	b := appendRecord([]byte(magic), manifestFields, &m)
	if len(b) > maxEncoded {
		return nil, fmt.Errorf("encode manifest: %d bytes: at most %d are allowed: %w", len(b), maxEncoded, ErrInvalid)
	}
	// A time that can't be read back is found here, before it is stored.
	if err := new(Manifest).UnmarshalBinary(b); err != nil {
		return nil, fmt.Errorf("encode manifest: %w: it would not be readable: %w", ErrInvalid, err)
	}
	return b, nil
}

// UnmarshalBinary reads what MarshalBinary wrote, and nothing else: whatever
// it accepts, MarshalBinary writes back byte for byte. Errors wrap ErrSchema,
// ErrUnknownField or ErrCorrupt; m is then unchanged. What it allocates is
// bounded by a small multiple of len(data). The values are not checked: see
// Validate.
func (m *Manifest) UnmarshalBinary(data []byte) error {
	if len(data) < len(magic) || string(data[:len(magic)]) != magic {
		return fmt.Errorf("read manifest: %w", corrupt("it does not begin with %q", magic))
	}
	var read Manifest
	if err := decodeRecord(data[len(magic):], manifestFields, &read); err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	*m = read
	return nil
}

// schemaField makes reading stop at the schema when it is a newer one, before
// anything that it may have changed is looked at.
func schemaField(f field[Manifest]) field[Manifest] {
	decode := f.decode
	f.decode = func(v []byte, m *Manifest) error {
		if err := decode(v, m); err != nil {
			return err
		}
		switch {
		case m.Schema > SchemaVersion:
			return fmt.Errorf("%w (schema %d; this program reads up to %d)", ErrSchema, m.Schema, SchemaVersion)
		case m.Schema < 1:
			return corrupt("the schema is %d", m.Schema)
		}
		return nil
	}
	return f
}

// appendRecord appends the fields of t in the order of the table.
func appendRecord[T any](b []byte, fields []field[T], t *T) []byte {
	for _, f := range fields {
		if f.absent == nil || !f.absent(t) {
			b = appendField(b, f, t)
		}
	}
	return b
}

func appendField[T any](b []byte, f field[T], t *T) []byte {
	b = appendBytes(b, f.name)
	b = append(b, byte(f.kind))
	return appendSized(b, func(b []byte) []byte { return f.encode(b, t) })
}

// appendBytes appends a length and the bytes.
func appendBytes(b []byte, s string) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

// appendSized appends a length and what value appends.
func appendSized(b []byte, value func([]byte) []byte) []byte {
	at := len(b)
	b = value(append(b, 0, 0, 0, 0))
	// Beyond uint32 the length wraps, but then the whole is beyond maxEncoded.
	binary.LittleEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}

// decodeRecord reads the fields of t: each of the table once, in its order,
// and nothing after the last. One that may be left out is there only with a
// value.
func decodeRecord[T any](data []byte, fields []field[T], t *T) error {
	r := reader{data}
	for i, f := range fields {
		before := r
		if len(r.rest) == 0 {
			if f.absent != nil {
				continue
			}
			return corrupt("the field %s is missing", f.name)
		}
		name, err := r.bytes("a field's name")
		if err != nil {
			return err
		}
		if string(name) != f.name {
			if f.absent != nil {
				r = before
				continue
			}
			return misplaced(fields, i, string(name))
		}
		k, err := r.byte("a field's kind")
		if err != nil {
			return err
		}
		if kind(k) != f.kind {
			return corrupt("the field %s is of kind %q, not %q", f.name, k, byte(f.kind))
		}
		value, err := r.bytes("a field's value")
		if err != nil {
			return err
		}
		if err := f.decode(value, t); err != nil {
			return fmt.Errorf("field %s: %w", f.name, err)
		}
		if f.absent != nil && f.absent(t) {
			return corrupt("the field %s is there and empty", f.name)
		}
	}
	if len(r.rest) == 0 {
		return nil
	}
	if name, err := r.bytes("a field's name"); err == nil && len(name) > 0 {
		return misplaced(fields, len(fields), string(name))
	}
	return corrupt("there are bytes after the last field")
}

// misplaced is the error for a name where the field at index i should stand.
func misplaced[T any](fields []field[T], i int, name string) error {
	switch at := slices.IndexFunc(fields, func(f field[T]) bool { return f.name == name }); {
	case at < 0:
		return fmt.Errorf("%w: %.80q", ErrUnknownField, name)
	case at < i:
		return corrupt("the field %s is there twice or out of order", name)
	default:
		return corrupt("the field %s is missing before %s", fields[i].name, name)
	}
}

// reader takes length-prefixed pieces off a slice without copying.
type reader struct{ rest []byte }

func (r *reader) bytes(what string) ([]byte, error) {
	if len(r.rest) < 4 {
		return nil, corrupt("%s is cut off", what)
	}
	n := binary.LittleEndian.Uint32(r.rest)
	if uint64(n) > uint64(len(r.rest)-4) || n > math.MaxInt32 {
		return nil, corrupt("%s has %d bytes of which %d are there", what, n, len(r.rest)-4)
	}
	b := r.rest[4 : 4+n]
	r.rest = r.rest[4+n:]
	return b, nil
}

func (r *reader) byte(what string) (byte, error) {
	if len(r.rest) == 0 {
		return 0, corrupt("%s is cut off", what)
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b, nil
}

// corrupt is ErrCorrupt with what was found.
func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}
