package compat

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
)

// kind is the type of a value in the canonical encoding: one byte that a
// reader can print.
type kind byte

// The kinds. They are part of the format and never change their meaning.
const (
	kindText   kind = 't' // bytes of a UTF-8 string
	kindInt    kind = 'i' // int64, two's complement
	kindFloat  kind = 'f' // IEEE 754 binary64
	kindBool   kind = 'b' // one byte, 0 or 1
	kindDigest kind = 'd' // 32 bytes
	kindTime   kind = 'z' // int64 seconds since 1970 UTC, then uint32 nanoseconds
	kindFloats kind = 'v' // IEEE 754 binary32, one after another
	kindLabels kind = 'm' // length, key, length, value; keys strictly ascending
	kindList   kind = 'l' // length, record; one after another
)

func text[T any, S ~string](name string, r rule, at func(*T) *S) field[T] {
	return field[T]{
		name: name, kind: kindText, rule: r,
		encode: func(b []byte, t *T) []byte { return append(b, *at(t)...) },
		decode: func(v []byte, t *T) error { *at(t) = S(v); return nil },
		show:   func(t *T) string { return plainOrQuoted(string(*at(t))) },
	}
}

// plainOrQuoted quotes what would not be seen or could break a line.
func plainOrQuoted(s string) string {
	if q := strconv.Quote(s); s == "" || q != `"`+s+`"` {
		return q
	}
	return s
}

// quoted shows a text in quotes always: a prompt's trailing space counts.
func quoted[T any](f field[T]) field[T] {
	f.show = func(t *T) string { return strconv.Quote(string(f.encode(nil, t))) }
	return f
}

func integer[T any](name string, r rule, at func(*T) *int) field[T] {
	return field[T]{
		name: name, kind: kindInt, rule: r,
		encode: func(b []byte, t *T) []byte { return binary.LittleEndian.AppendUint64(b, uint64(int64(*at(t)))) },
		decode: func(v []byte, t *T) error {
			if len(v) != 8 {
				return corrupt("an integer has %d bytes, not 8", len(v))
			}
			x := int64(binary.LittleEndian.Uint64(v))
			if int64(int(x)) != x {
				return corrupt("the integer %d is beyond this platform's", x)
			}
			*at(t) = int(x)
			return nil
		},
		show: func(t *T) string { return strconv.Itoa(*at(t)) },
	}
}

func float[T any](name string, r rule, at func(*T) *float64) field[T] {
	return field[T]{
		name: name, kind: kindFloat, rule: r,
		encode: func(b []byte, t *T) []byte {
			return binary.LittleEndian.AppendUint64(b, math.Float64bits(*at(t)))
		},
		decode: func(v []byte, t *T) error {
			if len(v) != 8 {
				return corrupt("a float has %d bytes, not 8", len(v))
			}
			*at(t) = math.Float64frombits(binary.LittleEndian.Uint64(v))
			return nil
		},
		show: func(t *T) string { return strconv.FormatFloat(*at(t), 'g', -1, 64) },
	}
}

func boolean[T any](name string, r rule, at func(*T) *bool) field[T] {
	return field[T]{
		name: name, kind: kindBool, rule: r,
		encode: func(b []byte, t *T) []byte {
			if *at(t) {
				return append(b, 1)
			}
			return append(b, 0)
		},
		decode: func(v []byte, t *T) error {
			if len(v) != 1 || v[0] > 1 {
				return corrupt("a truth value is %x, not 00 or 01", v[:min(len(v), 8)])
			}
			*at(t) = v[0] == 1
			return nil
		},
		show: func(t *T) string { return strconv.FormatBool(*at(t)) },
	}
}

func digest[T any](name string, r rule, at func(*T) *Digest) field[T] {
	return field[T]{
		name: name, kind: kindDigest, rule: r,
		encode: func(b []byte, t *T) []byte { return append(b, at(t)[:]...) },
		decode: func(v []byte, t *T) error {
			if len(v) != len(Digest{}) {
				return corrupt("a digest has %d bytes, not 32", len(v))
			}
			*at(t) = Digest(v)
			return nil
		},
		show: func(t *T) string { return at(t).String() },
	}
}

// Bounds of a time: the years 0 to 9999, which RFC 3339 can write.
const (
	firstSecond = -62167219200
	lastSecond  = 253402300799
)

// moment is a point in time: zone and monotonic reading are left out, so that
// what is read back is in UTC. The zero Time stays the zero Time.
func moment[T any](name string, r rule, at func(*T) *time.Time) field[T] {
	return field[T]{
		name: name, kind: kindTime, rule: r,
		encode: func(b []byte, t *T) []byte {
			b = binary.LittleEndian.AppendUint64(b, uint64(at(t).Unix()))
			return binary.LittleEndian.AppendUint32(b, uint32(at(t).Nanosecond()))
		},
		decode: func(v []byte, t *T) error {
			if len(v) != 12 {
				return corrupt("a time has %d bytes, not 12", len(v))
			}
			seconds, nanos := int64(binary.LittleEndian.Uint64(v)), binary.LittleEndian.Uint32(v[8:])
			if nanos >= 1e9 {
				return corrupt("a time has %d nanoseconds in a second", nanos)
			}
			if seconds < firstSecond || seconds > lastSecond {
				return corrupt("a time lies %d seconds from 1970, outside the years 0 to 9999", seconds)
			}
			*at(t) = time.Unix(seconds, int64(nanos)).UTC()
			return nil
		},
		show: func(t *T) string { return at(t).UTC().Format(time.RFC3339Nano) },
	}
}

func floats[T any](name string, at func(*T) *[]float32) field[T] {
	return field[T]{
		name: name, kind: kindFloats,
		encode: func(b []byte, t *T) []byte {
			for _, x := range *at(t) {
				b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
			}
			return b
		},
		decode: func(v []byte, t *T) error {
			if len(v)%4 != 0 {
				return corrupt("a vector has %d bytes, no multiple of 4", len(v))
			}
			if len(v) == 0 {
				*at(t) = nil
				return nil
			}
			row := make([]float32, len(v)/4)
			for i := range row {
				row[i] = math.Float32frombits(binary.LittleEndian.Uint32(v[4*i:]))
			}
			*at(t) = row
			return nil
		},
		show: func(t *T) string { return fmt.Sprintf("%d floats", len(*at(t))) },
	}
}

func labels[T any](name string, r rule, at func(*T) *map[string]string) field[T] {
	return field[T]{
		name: name, kind: kindLabels, rule: r,
		encode: func(b []byte, t *T) []byte {
			for _, key := range slices.Sorted(maps.Keys(*at(t))) {
				b = appendBytes(b, key)
				b = appendBytes(b, (*at(t))[key])
			}
			return b
		},
		decode: func(v []byte, t *T) error {
			var read map[string]string
			last := ""
			for r := (reader{v}); len(r.rest) > 0; {
				key, err := r.bytes("a label's key")
				if err != nil {
					return err
				}
				value, err := r.bytes("a label's value")
				if err != nil {
					return err
				}
				if read == nil {
					read = make(map[string]string)
				} else if string(key) <= last {
					return corrupt("the label %q is not in ascending order", key)
				}
				last = string(key)
				read[last] = string(value)
			}
			*at(t) = read
			return nil
		},
		show: func(t *T) string { return fmt.Sprintf("%q", *at(t)) },
	}
}

// list is a slice of records. Nil and empty are the same and read back as nil.
func list[T, E any](name string, r rule, fields []field[E], at func(*T) *[]E) field[T] {
	encode := func(b []byte, t *T) []byte {
		for i := range *at(t) {
			b = appendSized(b, func(b []byte) []byte { return appendRecord(b, fields, &(*at(t))[i]) })
		}
		return b
	}
	return field[T]{
		name: name, kind: kindList, rule: r,
		encode: encode,
		decode: func(v []byte, t *T) error {
			var read []E
			for r := (reader{v}); len(r.rest) > 0; {
				record, err := r.bytes("an item of a list")
				if err != nil {
					return err
				}
				var e E
				if err := decodeRecord(record, fields, &e); err != nil {
					return err
				}
				read = append(read, e)
			}
			*at(t) = read
			return nil
		},
		show: func(t *T) string {
			if len(*at(t)) == 0 {
				return "none"
			}
			sum := sha256.Sum256(encode(nil, t))
			return fmt.Sprintf("%d items (digest %x)", len(*at(t)), sum[:6])
		},
	}
}

// optional is a record that may be missing: a list of at most one.
func optional[T, E any](name string, r rule, fields []field[E], at func(*T) **E) field[T] {
	return field[T]{
		name: name, kind: kindList, rule: r,
		encode: func(b []byte, t *T) []byte {
			if *at(t) == nil {
				return b
			}
			return appendSized(b, func(b []byte) []byte { return appendRecord(b, fields, *at(t)) })
		},
		decode: func(v []byte, t *T) error {
			if len(v) == 0 {
				*at(t) = nil
				return nil
			}
			r := reader{v}
			record, err := r.bytes("an optional item")
			if err != nil {
				return err
			}
			if len(r.rest) > 0 {
				return corrupt("an optional item is there more than once")
			}
			e := new(E)
			if err := decodeRecord(record, fields, e); err != nil {
				return err
			}
			*at(t) = e
			return nil
		},
		show: func(t *T) string {
			if *at(t) == nil {
				return "none"
			}
			line := ""
			for i, f := range fields {
				if i > 0 {
					line += ", "
				}
				line += f.name + " " + f.show(*at(t))
			}
			return line
		},
	}
}
