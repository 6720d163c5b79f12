package store

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxIDBytes is the length of the longest string id.
const MaxIDBytes = 512

// ID names a point of a collection: an unsigned integer or a string of 1 to
// MaxIDBytes bytes of UTF-8. IDs are comparable values; the zero ID is the
// number 0. A string that is a hyphenated UUID is kept in lower case.
type ID struct {
	num uint64
	str string // "": the id is num
}

// NumID is the id of a number.
func NumID(n uint64) ID { return ID{num: n} }

// StringID is the id of a string, or ErrID when it is empty, too long or not
// UTF-8.
func StringID(s string) (ID, error) {
	switch {
	case s == "":
		return ID{}, fmt.Errorf("%w: it is empty; give every point an unsigned integer or a string", ErrID)
	case len(s) > MaxIDBytes:
		return ID{}, fmt.Errorf("%w: it has %d bytes; the limit is %d", ErrID, len(s), MaxIDBytes)
	case !utf8.ValidString(s):
		return ID{}, fmt.Errorf("%w: it is not valid UTF-8", ErrID)
	case isUUID(s):
		s = strings.ToLower(s)
	}
	return ID{str: s}, nil
}

// ParseID reads an id as a person types it in an address: decimal digits
// without a leading zero that fit 64 bits are a number, all else is a string.
func ParseID(s string) (ID, error) {
	if n, err := strconv.ParseUint(s, 10, 64); err == nil && strconv.FormatUint(n, 10) == s {
		return NumID(n), nil
	}
	return StringID(s)
}

// isUUID reports whether s has the 36-byte hyphenated form of RFC 9562.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
		default:
			return false
		}
	}
	return true
}

// IsNumber reports whether the id is a number.
func (id ID) IsNumber() bool { return id.str == "" }

// Number is the number of an id, and whether it is one.
func (id ID) Number() (uint64, bool) { return id.num, id.str == "" }

// Value is the id as uint64 or string, the form package index/filter takes.
func (id ID) Value() any {
	if id.str == "" {
		return id.num
	}
	return id.str
}

// String is the id as ParseID reads it, except for strings that look like
// numbers.
func (id ID) String() string {
	if id.str == "" {
		return strconv.FormatUint(id.num, 10)
	}
	return id.str
}

// Compare orders ids: numbers first, ascending, then strings bytewise.
func (id ID) Compare(other ID) int {
	switch {
	case id.str == "" && other.str == "":
		return cmp.Compare(id.num, other.num)
	case id.str == "":
		return -1
	case other.str == "":
		return 1
	}
	return strings.Compare(id.str, other.str)
}

// MarshalJSON writes a number or a string.
func (id ID) MarshalJSON() ([]byte, error) {
	if id.str == "" {
		return strconv.AppendUint(nil, id.num, 10), nil
	}
	return json.Marshal(id.str)
}

// UnmarshalJSON reads an unsigned integer (digits only: no sign, fraction or
// exponent) or a string. Everything else is ErrID.
func (id *ID) UnmarshalJSON(data []byte) error {
	data = bytes.TrimSpace(data)
	if len(data) > 0 && data[0] == '"' {
		// encoding/json replaces invalid bytes, so two ids could become one.
		if !utf8.Valid(data) {
			return fmt.Errorf("%w: it is not valid UTF-8", ErrID)
		}
		var s string
		if err := json.Unmarshal(data, &s); err != nil {
			return fmt.Errorf("%w: %w", ErrID, err)
		}
		parsed, err := StringID(s)
		if err != nil {
			return err
		}
		*id = parsed
		return nil
	}
	n, err := strconv.ParseUint(string(data), 10, 64)
	if err != nil || (len(data) > 1 && data[0] == '0') {
		return fmt.Errorf("%w: %.40q is neither an unsigned integer nor a string", ErrID, data)
	}
	*id = NumID(n)
	return nil
}
