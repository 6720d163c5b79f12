package strictjson

import (
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// word reports whether the word comes next.
func (r *Reader) word(word string) bool {
	end := r.pos + len(word)
	return end <= len(r.data) && string(r.data[r.pos:end]) == word
}

// literal consumes the word.
func (r *Reader) literal(word string) error {
	if !r.word(word) {
		return r.Fail("no JSON value stands here")
	}
	r.pos += len(word)
	return nil
}

// Bool reads true or false.
func (r *Reader) Bool() (bool, error) {
	if err := r.want(Bool); err != nil {
		return false, err
	}
	if r.data[r.pos] == 't' {
		return true, r.literal("true")
	}
	return false, r.literal("false")
}

// number consumes a number and returns its bytes; the grammar is JSON's, so
// NaN, Infinity, +1, .5 and 01 are refused.
func (r *Reader) number() ([]byte, error) {
	if err := r.want(Number); err != nil {
		return nil, err
	}
	from := r.pos
	if r.data[r.pos] == '-' {
		r.pos++
	}
	switch digits := r.digits(); {
	case digits == 0:
		return nil, r.Fail("a number needs a digit here")
	case digits > 1 && r.data[r.pos-digits] == '0':
		return nil, r.Fail("a number may not begin with a zero")
	}
	if r.pos < len(r.data) && r.data[r.pos] == '.' {
		r.pos++
		if r.digits() == 0 {
			return nil, r.Fail("a number needs a digit after its point")
		}
	}
	if r.pos < len(r.data) && (r.data[r.pos] == 'e' || r.data[r.pos] == 'E') {
		r.pos++
		if r.pos < len(r.data) && (r.data[r.pos] == '+' || r.data[r.pos] == '-') {
			r.pos++
		}
		if r.digits() == 0 {
			return nil, r.Fail("a number needs a digit in its exponent")
		}
	}
	return r.data[from:r.pos], nil
}

// digits consumes digits and counts them.
func (r *Reader) digits() int {
	from := r.pos
	for r.pos < len(r.data) && r.data[r.pos] >= '0' && r.data[r.pos] <= '9' {
		r.pos++
	}
	return r.pos - from
}

// Uint64 reads an unsigned integer, written without fraction and exponent.
func (r *Reader) Uint64() (uint64, error) {
	from := r.pos
	text, err := r.number()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil {
		r.pos = from
		return 0, r.Fail("want an integer from 0 to %d", uint64(math.MaxUint64))
	}
	return n, nil
}

// Int reads an integer of lowest..highest.
func (r *Reader) Int(lowest, highest int) (int, error) {
	from := r.pos
	text, err := r.number()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || n < int64(lowest) || n > int64(highest) {
		r.pos = from
		return 0, r.Fail("want an integer from %d to %d", lowest, highest)
	}
	return int(n), nil
}

// Float32 reads a number that float32 can hold; one that is too small for it
// reads as zero, as IEEE 754 rounds.
func (r *Reader) Float32() (float32, error) {
	from := r.pos
	text, err := r.number()
	if err != nil {
		return 0, err
	}
	x, err := strconv.ParseFloat(string(text), 32)
	if err != nil {
		r.pos = from
		return 0, r.Fail("the number is beyond the range of a 32-bit float")
	}
	return float32(x), nil
}

// Floats reads an array of numbers, at most limit of them.
func (r *Reader) Floats(limit int) ([]float32, error) {
	var row []float32
	err := r.Array(func(i int) error {
		if i >= limit {
			return r.Fail("more than %d numbers", limit)
		}
		x, err := r.Float32()
		row = append(row, x)
		return err
	})
	return row, err
}

// Str reads a string.
func (r *Reader) Str() (string, error) {
	if err := r.want(String); err != nil {
		return "", err
	}
	r.pos++
	from := r.pos
	for r.pos < len(r.data) {
		switch c := r.data[r.pos]; {
		case c == '"':
			r.pos++
			return string(r.data[from : r.pos-1]), nil
		case c == '\\':
			return r.escaped(append([]byte(nil), r.data[from:r.pos]...))
		case c < 0x20:
			return "", r.Fail("a control character must be escaped in a string")
		}
		r.pos++
	}
	return "", r.Fail("the string has no end")
}

// escaped reads the rest of a string from its first backslash on.
func (r *Reader) escaped(out []byte) (string, error) {
	for r.pos < len(r.data) {
		c := r.data[r.pos]
		switch {
		case c == '"':
			r.pos++
			return string(out), nil
		case c < 0x20:
			return "", r.Fail("a control character must be escaped in a string")
		case c != '\\':
			out = append(out, c)
			r.pos++
			continue
		}
		char, err := r.escape()
		if err != nil {
			return "", err
		}
		out = utf8.AppendRune(out, char)
	}
	return "", r.Fail("the string has no end")
}

// escape reads one escape, or the two of a surrogate pair.
func (r *Reader) escape() (rune, error) {
	r.pos++
	if r.pos >= len(r.data) {
		return 0, r.Fail("the string has no end")
	}
	c := r.data[r.pos]
	r.pos++
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		return r.unicode()
	}
	return 0, r.Fail("unknown escape in a string")
}

// unicode reads the digits after \u, and a whole second escape where the
// first one is the high half of a pair.
func (r *Reader) unicode() (rune, error) {
	char, ok := r.hex4()
	if !ok {
		return 0, r.Fail("\\u needs four hexadecimal digits")
	}
	if !utf16.IsSurrogate(char) {
		return char, nil
	}
	if r.pos+2 <= len(r.data) && r.data[r.pos] == '\\' && r.data[r.pos+1] == 'u' {
		r.pos += 2
		if low, ok := r.hex4(); ok {
			if pair := utf16.DecodeRune(char, low); pair != utf8.RuneError {
				return pair, nil
			}
		}
	}
	return 0, r.Fail("half a surrogate pair is no character")
}

// hex4 reads four hexadecimal digits.
func (r *Reader) hex4() (rune, bool) {
	if r.pos+4 > len(r.data) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(r.data[r.pos:r.pos+4]), 16, 32)
	if err != nil {
		return 0, false
	}
	r.pos += 4
	return rune(n), true
}
