package dataset

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxHeader bounds the header of a .npy file in bytes.
const maxHeader = 64 << 10

// npyHeader reads the header of a .npy file: magic, version, length, and a
// literal of Python's that says type, order and shape.
func npyHeader(r *bufio.Reader) (layout, int64, error) {
	var l layout
	prefix := make([]byte, 8)
	if _, err := io.ReadFull(r, prefix); err != nil || string(prefix[:6]) != "\x93NUMPY" {
		return l, 0, fmt.Errorf("it does not begin as a .npy file does")
	}
	sizeBytes := 4
	switch prefix[6] {
	case 1:
		sizeBytes = 2
	case 2, 3:
	default:
		return l, 0, fmt.Errorf(".npy version %d.%d is not known; versions 1 to 3 are", prefix[6], prefix[7])
	}
	var length [4]byte
	if _, err := io.ReadFull(r, length[:sizeBytes]); err != nil {
		return l, 0, fmt.Errorf("it ends in its header")
	}
	n := binary.LittleEndian.Uint32(length[:])
	if n > maxHeader {
		return l, 0, fmt.Errorf("its header claims %d bytes, and %d are too many", n, maxHeader)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return l, 0, fmt.Errorf("it ends in its header")
	}
	l, err := npyLayout(string(text))
	return l, int64(8+sizeBytes) + int64(n), err
}

// npyLayout reads {'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }.
func npyLayout(text string) (layout, error) {
	l := layout{rows: -1}
	seen := map[string]bool{}
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), "{")
	if !ok {
		return l, fmt.Errorf("its header is no dictionary")
	}
	for {
		rest = strings.TrimLeft(rest, " \t\n,")
		if rest == "}" {
			break
		}
		name, after, ok := quoted(rest)
		if !ok || seen[name] {
			return l, fmt.Errorf("its header can't be read at %.20q", rest)
		}
		seen[name] = true
		if after, ok = strings.CutPrefix(strings.TrimLeft(after, " "), ":"); !ok {
			return l, fmt.Errorf("its header has no value for %.20q", name)
		}
		after = strings.TrimLeft(after, " ")
		var err error
		switch name {
		case "descr":
			rest, err = l.npyDescr(after)
		case "fortran_order":
			if rest, ok = strings.CutPrefix(after, "False"); !ok {
				err = fmt.Errorf("it is in Fortran's order; save it by numpy.ascontiguousarray")
			}
		case "shape":
			rest, err = l.npyShape(after)
		default:
			err = fmt.Errorf("its header has an unknown member %.20q", name)
		}
		if err != nil {
			return l, err
		}
	}
	if len(seen) != 3 {
		return l, fmt.Errorf("its header lacks descr, fortran_order or shape")
	}
	return l, nil
}

// quoted cuts a string in single quotes off.
func quoted(text string) (s, rest string, ok bool) {
	if text, ok = strings.CutPrefix(text, "'"); !ok {
		return "", "", false
	}
	return strings.Cut(text, "'")
}

// npyKinds are the types that can be read.
var npyKinds = map[string]kind{
	"u1": kindU8, "i1": kindI8, "u2": kindU16, "i2": kindI16, "u4": kindU32, "i4": kindI32, "i8": kindI64,
	"f2": kindF16, "f4": kindF32, "f8": kindF64,
}

// npyDescr reads '<f4'.
func (l *layout) npyDescr(text string) (rest string, err error) {
	descr, rest, ok := quoted(text)
	if !ok || len(descr) != 3 {
		return "", fmt.Errorf("its type can't be read at %.20q; save one array of numbers", text)
	}
	var known bool
	l.kind, known = npyKinds[descr[1:]]
	switch {
	case !known || !strings.ContainsAny(descr[:1], "<>|="):
		return "", fmt.Errorf("its type %q is not read; save float32", descr)
	case descr[0] == '>':
		l.order = binary.BigEndian
	default:
		l.order = binary.LittleEndian
	}
	return rest, nil
}

// npyShape reads (3, 2).
func (l *layout) npyShape(text string) (rest string, err error) {
	inside, rest, ok := strings.Cut(strings.TrimPrefix(text, "("), ")")
	if !ok || !strings.HasPrefix(text, "(") {
		return "", fmt.Errorf("its shape can't be read at %.20q", text)
	}
	var axes []int
	for axis := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSpace(inside), ","), ",") {
		n, err := strconv.ParseInt(strings.TrimSpace(axis), 10, 64)
		if err != nil || n < 0 || n > MaxRows {
			return "", fmt.Errorf("its shape (%.40s) is none of vectors", inside)
		}
		axes = append(axes, int(n))
	}
	if len(axes) != 2 {
		return "", fmt.Errorf("it has %d axes; save an array of two, rows x dimension", len(axes))
	}
	l.rows, l.cols = axes[0], axes[1]
	return rest, nil
}

// idxKinds are the types of the idx format by their code.
var idxKinds = map[byte]kind{0x08: kindU8, 0x09: kindI8, 0x0b: kindI16, 0x0c: kindI32, 0x0d: kindF32, 0x0e: kindF64}

// idxHeader reads two zero bytes, a type, the number of axes, and the axes.
func idxHeader(r *bufio.Reader, maxCols int) (layout, int64, error) {
	l := layout{order: binary.BigEndian}
	head := make([]byte, 4)
	if _, err := io.ReadFull(r, head); err != nil || head[0] != 0 || head[1] != 0 {
		return l, 0, fmt.Errorf("it does not begin as an idx file does")
	}
	var known bool
	if l.kind, known = idxKinds[head[2]]; !known {
		return l, 0, fmt.Errorf("its type %#x is not known", head[2])
	}
	axes := int(head[3])
	if axes < 1 || axes > 4 {
		return l, 0, fmt.Errorf("it has %d axes; one to four make vectors", axes)
	}
	l.cols = 1
	for i := range axes {
		var word [4]byte
		if _, err := io.ReadFull(r, word[:]); err != nil {
			return l, 0, fmt.Errorf("it ends in its header")
		}
		n := binary.BigEndian.Uint32(word[:])
		switch {
		case n > MaxRows:
			return l, 0, fmt.Errorf("it claims an axis of %d", n)
		case i == 0:
			l.rows = int(n)
		case int64(n)*int64(l.cols) > int64(maxCols):
			return l, 0, fmt.Errorf("it claims vectors of more than %d components", maxCols)
		default:
			l.cols *= int(n)
		}
	}
	return l, int64(4 + 4*axes), nil
}
