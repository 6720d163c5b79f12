package weights

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Entry is one tensor to write: little-endian elements of a shape, row-major.
type Entry struct {
	Name  string
	DType DType
	Shape []int
	Data  []byte
}

// Float32Entry is an F32 tensor of values.
func Float32Entry(name string, shape []int, values []float32) Entry {
	data := make([]byte, 0, 4*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	return Entry{Name: name, DType: F32, Shape: shape, Data: data}
}

// Write writes a safetensors file. Wider dtypes come first, and the header is
// padded to 8 bytes, so that every tensor is aligned for its dtype. It refuses
// what Open would refuse.
func Write(w io.Writer, entries []Entry, metadata map[string]string) error {
	order := slices.Clone(entries)
	slices.SortStableFunc(order, func(a, b Entry) int {
		if a.DType.Size() != b.DType.Size() {
			return b.DType.Size() - a.DType.Size()
		}
		return strings.Compare(a.Name, b.Name)
	})
	type entry struct {
		DType   DType     `json:"dtype"`
		Shape   []int     `json:"shape"`
		Offsets [2]uint64 `json:"data_offsets"`
	}
	header := make(map[string]any, len(order)+1)
	if len(metadata) > 0 {
		header["__metadata__"] = metadata
	}
	var at uint64
	for _, e := range order {
		if err := e.check(); err != nil {
			return err
		}
		if _, twice := header[e.Name]; twice || e.Name == "__metadata__" {
			return fmt.Errorf("write weights: tensor %q: the name is taken", e.Name)
		}
		end := at + uint64(len(e.Data))
		header[e.Name] = entry{e.DType, append([]int{}, e.Shape...), [2]uint64{at, end}}
		at = end
	}
	text, err := json.Marshal(header)
	if err != nil {
		return fmt.Errorf("write weights: %w", err)
	}
	for len(text)%8 != 0 {
		text = append(text, ' ')
	}
	out := bufio.NewWriter(w)
	// Errors of a bufio.Writer stay until Flush reports them.
	_, _ = out.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(text))))
	_, _ = out.Write(text)
	for _, e := range order {
		_, _ = out.Write(e.Data)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write weights: %w", err)
	}
	return nil
}

// check wants data of the length of the shape.
func (e Entry) check() error {
	shape := make([]uint64, len(e.Shape))
	for i, d := range e.Shape {
		if d < 0 {
			return fmt.Errorf("write weights: tensor %q: dimension %d", e.Name, d)
		}
		shape[i] = uint64(d)
	}
	if want, ok := byteLength(shape, uint64(e.DType.Size())); e.DType.Size() == 0 || !ok || want != uint64(len(e.Data)) {
		return fmt.Errorf("write weights: tensor %q: %d bytes are not %s of shape %v", e.Name, len(e.Data), e.DType, e.Shape)
	}
	return nil
}
