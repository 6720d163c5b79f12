package weights

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxHeader is the largest JSON header that is read, in bytes. It is the
// limit of the format's reference implementation.
const MaxHeader = 100_000_000

// maxRank bounds the dimensions of a tensor.
const maxRank = 64

// header is what the JSON of one file says, checked against the file's size.
type header struct {
	tensors  map[string]Tensor
	metadata map[string]string
}

// parse reads the header of file, whose tensors will share its memory.
func parse(path string, file []byte) (*header, error) {
	fail := func(reason string, args ...any) (*header, error) {
		return nil, &FormatError{Path: path, Reason: fmt.Sprintf(reason, args...)}
	}
	if len(file) < 8 {
		return fail("%d bytes are too few for a header", len(file))
	}
	n := binary.LittleEndian.Uint64(file)
	switch {
	case n > MaxHeader:
		return fail("the header claims %d bytes; the limit is %d", n, MaxHeader)
	case n > uint64(len(file)-8):
		return fail("the header claims %d bytes, but %d follow", n, len(file)-8)
	}
	text, data := file[8:8+n], file[8+n:]
	if len(text) == 0 || text[0] != '{' {
		return fail("the header doesn't start with '{'")
	}
	if !utf8.Valid(text) {
		return fail("the header is not UTF-8")
	}
	p := headerParser{path: path, dec: json.NewDecoder(bytes.NewReader(text)), data: data}
	p.dec.UseNumber()
	p.header.tensors = make(map[string]Tensor)
	if err := p.run(); err != nil {
		return nil, err
	}
	if rest := bytes.TrimLeft(text[p.dec.InputOffset():], " "); len(rest) > 0 {
		return fail("the header goes on after its JSON object")
	}
	return &p.header, p.checkCover()
}

// headerParser walks the header's JSON by tokens, because encoding/json by
// itself lets the last of two equal keys win.
type headerParser struct {
	path   string
	dec    *json.Decoder
	data   []byte
	header header
}

func (p *headerParser) fail(tensor, reason string, args ...any) error {
	return &FormatError{Path: p.path, Tensor: tensor, Reason: fmt.Sprintf(reason, args...)}
}

func (p *headerParser) run() error {
	seenMetadata := false
	return p.object("", func(name string) error {
		if name == "__metadata__" {
			if seenMetadata {
				return p.fail("", "two __metadata__ entries")
			}
			seenMetadata = true
			return p.readMetadata()
		}
		if _, twice := p.header.tensors[name]; twice {
			return p.fail(name, "it stands twice in the header")
		}
		t, err := p.readTensor(name)
		if err != nil {
			return err
		}
		p.header.tensors[name] = t
		return nil
	})
}

// object reads an object and calls member after each key.
func (p *headerParser) object(tensor string, member func(key string) error) error {
	if err := p.delim(tensor, '{'); err != nil {
		return err
	}
	for p.dec.More() {
		key, err := p.text(tensor)
		if err != nil {
			return err
		}
		if err := member(key); err != nil {
			return err
		}
	}
	return p.delim(tensor, '}')
}

func (p *headerParser) readMetadata() error {
	p.header.metadata = make(map[string]string)
	return p.object("__metadata__", func(key string) error {
		value, err := p.text("__metadata__")
		if err != nil {
			return err
		}
		if _, twice := p.header.metadata[key]; twice {
			return p.fail("__metadata__", "the key %q stands twice", cut(key))
		}
		p.header.metadata[key] = value
		return nil
	})
}

func (p *headerParser) readTensor(name string) (Tensor, error) {
	var dtype string
	var shape, offsets []uint64
	var seen [3]bool
	err := p.object(name, func(key string) (err error) {
		i := slices.Index([]string{"dtype", "shape", "data_offsets"}, key)
		if i < 0 {
			return p.fail(name, "unknown field %q", cut(key))
		}
		if seen[i] {
			return p.fail(name, "the field %s stands twice", key)
		}
		seen[i] = true
		switch key {
		case "dtype":
			dtype, err = p.text(name)
		case "shape":
			shape, err = p.numbers(name, maxRank)
		default:
			offsets, err = p.numbers(name, 2)
		}
		return err
	})
	if err != nil {
		return Tensor{}, err
	}
	if seen != [3]bool{true, true, true} {
		return Tensor{}, p.fail(name, "dtype, shape or data_offsets is missing")
	}
	return p.tensor(name, DType(dtype), shape, offsets)
}

// tensor checks one entry on its own.
func (p *headerParser) tensor(name string, dtype DType, shape, offsets []uint64) (Tensor, error) {
	size := uint64(dtype.Size())
	if size == 0 {
		return Tensor{}, p.fail(name, "unknown dtype %q", cut(string(dtype)))
	}
	if len(offsets) != 2 || offsets[0] > offsets[1] || offsets[1] > uint64(len(p.data)) {
		return Tensor{}, p.fail(name, "data_offsets %v don't lie within %d bytes of data", offsets, len(p.data))
	}
	want, ok := byteLength(shape, size)
	if !ok || want != offsets[1]-offsets[0] {
		return Tensor{}, p.fail(name, "shape %v of %s doesn't take the %d bytes of its data_offsets", shape, dtype, offsets[1]-offsets[0])
	}
	dims := make([]int, len(shape))
	for i, d := range shape {
		if d > math.MaxInt {
			return Tensor{}, p.fail(name, "dimension %d is out of range", d)
		}
		dims[i] = int(d)
	}
	from, to := offsets[0], offsets[1]
	return Tensor{Name: name, DType: dtype, Shape: dims, path: p.path, from: from, data: p.data[from:to:to]}, nil
}

// byteLength multiplies out a shape; false where it overflows.
func byteLength(shape []uint64, size uint64) (uint64, bool) {
	total, zero := size, false
	for _, d := range shape {
		if d == 0 {
			zero = true
			continue
		}
		if total > math.MaxInt/d {
			return 0, false
		}
		total *= d
	}
	if zero {
		return 0, true
	}
	return total, true
}

// checkCover wants the tensors to lie end to end over all of the data.
func (p *headerParser) checkCover() error {
	order := make([]Tensor, 0, len(p.header.tensors))
	for _, t := range p.header.tensors {
		order = append(order, t)
	}
	slices.SortFunc(order, func(a, b Tensor) int {
		switch {
		case a.from != b.from:
			if a.from < b.from {
				return -1
			}
			return 1
		case len(a.data) != len(b.data):
			return len(a.data) - len(b.data)
		default:
			return strings.Compare(a.Name, b.Name)
		}
	})
	var at uint64
	for _, t := range order {
		if t.from != at {
			return p.fail(t.Name, "its bytes start at %d, but those of the tensor before it end at %d", t.from, at)
		}
		at += uint64(len(t.data))
	}
	if at != uint64(len(p.data)) {
		return p.fail("", "%d bytes of data belong to no tensor", uint64(len(p.data))-at)
	}
	return nil
}

func (p *headerParser) delim(tensor string, want json.Delim) error {
	got, err := p.dec.Token()
	if err != nil {
		return p.fail(tensor, "the header is not JSON: %v", err)
	}
	if got != want {
		return p.fail(tensor, "the header has %v where %v belongs", got, want)
	}
	return nil
}

func (p *headerParser) text(tensor string) (string, error) {
	got, err := p.dec.Token()
	if err != nil {
		return "", p.fail(tensor, "the header is not JSON: %v", err)
	}
	s, ok := got.(string)
	if !ok {
		return "", p.fail(tensor, "the header has %v where a string belongs", got)
	}
	return s, nil
}

func (p *headerParser) numbers(tensor string, most int) ([]uint64, error) {
	if err := p.delim(tensor, '['); err != nil {
		return nil, err
	}
	numbers := []uint64{}
	for p.dec.More() {
		got, err := p.dec.Token()
		if err != nil {
			return nil, p.fail(tensor, "the header is not JSON: %v", err)
		}
		text, ok := got.(json.Number)
		if !ok {
			return nil, p.fail(tensor, "the header has %v where a number belongs", got)
		}
		n, err := strconv.ParseUint(string(text), 10, 64)
		if err != nil {
			return nil, p.fail(tensor, "%s is no whole number of 64 bits", cut(string(text)))
		}
		if len(numbers) == most {
			return nil, p.fail(tensor, "a list of more than %d numbers", most)
		}
		numbers = append(numbers, n)
	}
	return numbers, p.delim(tensor, ']')
}
