package weights

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// file builds the bytes of a safetensors file of a given header.
func file(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

func write(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, path string) *File {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func small(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	err := Write(&b, []Entry{
		{Name: "ids", DType: I32, Shape: []int{3}, Data: []byte{1, 0, 0, 0, 255, 255, 255, 255, 0, 1, 0, 0}},
		Float32Entry("matrix", []int{2, 3}, []float32{1, 2, 3, -4, 5.5, float32(math.Inf(1))}),
		{Name: "bytes", DType: I8, Shape: []int{3}, Data: []byte{1, 0x80, 0x7f}},
		{Name: "half", DType: F16, Shape: []int{2}, Data: []byte{0x00, 0x3c, 0x01, 0x00}},
		{Name: "brain", DType: BF16, Shape: []int{1}, Data: []byte{0x80, 0xbf}},
		{Name: "double", DType: F64, Shape: []int{}, Data: binary.LittleEndian.AppendUint64(nil, math.Float64bits(0.1))},
		{Name: "none", DType: U8, Shape: []int{0, 7}, Data: nil},
	}, map[string]string{"format": "test"})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReadsWhatItWrote(t *testing.T) {
	content := small(t)
	f := open(t, write(t, "m.safetensors", content))
	want := map[string][]float32{
		"ids":    {1, -1, 256},
		"matrix": {1, 2, 3, -4, 5.5, float32(math.Inf(1))},
		"bytes":  {1, -128, 127},
		"half":   {1, 1.0 / (1 << 24)},
		"brain":  {-1},
		"double": {0.1},
		"none":   {},
	}
	if got := len(f.Names()); got != len(want) {
		t.Fatalf("%d tensors, want %d", got, len(want))
	}
	for name, values := range want {
		tensor, err := f.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tensor.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got) != fmt.Sprint(values) {
			t.Errorf("%s = %v, want %v", name, got, values)
		}
		if name == "matrix" && fmt.Sprint(tensor.Shape) != "[2 3]" {
			t.Errorf("shape %v", tensor.Shape)
		}
	}
	if f.Metadata()["format"] != "test" {
		t.Errorf("metadata %v", f.Metadata())
	}
	if f.Digest() != sha256.Sum256(content) {
		t.Error("the digest is not the SHA-256 of the file")
	}
	if _, err := f.Tensor("absent"); !errors.Is(err, ErrNoTensor) || !strings.Contains(err.Error(), "matrix") {
		t.Errorf("an absent tensor: %v", err)
	}
}

// An open model is what was fingerprinted, whatever becomes of its file.
func TestFileChangesAfterOpen(t *testing.T) {
	content := small(t)
	path := write(t, "m.safetensors", content)
	f := open(t, path)
	tensor, err := f.Tensor("matrix")
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range [][]byte{bytes.Repeat([]byte{0x42}, len(content)), nil} {
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = file.WriteAt(change, 0)
		if err := errors.Join(err, file.Truncate(int64(len(change))), file.Close()); err != nil {
			t.Fatal(err)
		}
		got, err := tensor.Float32s()
		if err != nil || fmt.Sprint(got) != fmt.Sprint([]float32{1, 2, 3, -4, 5.5, float32(math.Inf(1))}) {
			t.Errorf("with %d other bytes in the file: %v, %v", len(change), got, err)
		}
	}
	if f.Digest() != sha256.Sum256(content) {
		t.Error("the digest is not of what was read")
	}
}

func TestInt64s(t *testing.T) {
	f := open(t, write(t, "m.safetensors", small(t)))
	tensor, _ := f.Tensor("ids")
	if got, err := tensor.Int64s(); err != nil || fmt.Sprint(got) != "[1 -1 256]" {
		t.Errorf("%v, %v", got, err)
	}
	tensor, _ = f.Tensor("matrix")
	if _, err := tensor.Int64s(); err == nil {
		t.Error("floats were read as integers")
	}
}

// TestFloat16 goes over every half-precision value by the definition.
func TestFloat16(t *testing.T) {
	for h := range 1 << 16 {
		sign, e, m := 1.0, h>>10&31, float64(h&1023)
		if h>>15 == 1 {
			sign = -1
		}
		var want float64
		switch e {
		case 0:
			want = sign * m * math.Pow(2, -24)
		case 31:
			want = math.Inf(int(sign))
			if m != 0 {
				want = math.NaN()
			}
		default:
			want = sign * (1 + m/1024) * math.Pow(2, float64(e-15))
		}
		got := float64(float16(uint16(h)))
		if got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Fatalf("%#04x = %v, want %v", h, got, want)
		}
	}
}

func TestRefusesHostileFiles(t *testing.T) {
	entry := func(dtype, shape, offsets string) string {
		return fmt.Sprintf(`{"dtype":%s,"shape":%s,"data_offsets":%s}`, dtype, shape, offsets)
	}
	u8 := entry(`"U8"`, "[4]", "[0,4]")
	long := strings.Repeat("x", 100_000)
	cases := map[string][]byte{
		"nothing":                 {},
		"seven bytes":             make([]byte, 7),
		"empty header":            file("", 0),
		"header beyond the file":  binary.LittleEndian.AppendUint64(nil, 9),
		"header of 2^63":          append(binary.LittleEndian.AppendUint64(nil, 1<<63), "{}"...),
		"header of 2^64-1":        append(binary.LittleEndian.AppendUint64(nil, math.MaxUint64), "{}"...),
		"header over the limit":   append(binary.LittleEndian.AppendUint64(nil, MaxHeader+1), "{}"...),
		"not JSON":                file(`{"a":`, 0),
		"array":                   file(`[]`, 0),
		"space before":            file(` {}`, 0),
		"trailing JSON":           file(`{}{}`, 0),
		"trailing newline":        file("{}\n", 0),
		"trailing zero":           file("{}\x00", 0),
		"not UTF-8":               file("{\"\xff\":"+u8+"}", 4),
		"unknown dtype":           file(`{"a":`+entry(`"F31"`, "[1]", "[0,4]")+`}`, 4),
		"long unknown dtype":      file(`{"a":`+entry(`"`+long+`"`, "[1]", "[0,4]")+`}`, 4),
		"dtype of a number":       file(`{"a":`+entry(`4`, "[1]", "[0,4]")+`}`, 4),
		"dtype null":              file(`{"a":`+entry(`null`, "[1]", "[0,4]")+`}`, 4),
		"product overflows":       file(`{"a":`+entry(`"F32"`, "[4294967296,4294967296]", "[0,0]")+`}`, 0),
		"product wraps to 4":      file(`{"a":`+entry(`"U8"`, "[9223372036854775809,4]", "[0,4]")+`}`, 4),
		"dimension of 2^64":       file(`{"a":`+entry(`"U8"`, "[18446744073709551616]", "[0,4]")+`}`, 4),
		"huge beside zero":        file(`{"a":`+entry(`"U8"`, "[0,18446744073709551615]", "[0,0]")+`}`, 0),
		"negative dimension":      file(`{"a":`+entry(`"U8"`, "[-4]", "[0,4]")+`}`, 4),
		"fractional dimension":    file(`{"a":`+entry(`"U8"`, "[4.0]", "[0,4]")+`}`, 4),
		"dimension as text":       file(`{"a":`+entry(`"U8"`, `["4"]`, "[0,4]")+`}`, 4),
		"too many dimensions":     file(`{"a":`+entry(`"U8"`, "[1"+strings.Repeat(",1", 100)+"]", "[0,1]")+`}`, 1),
		"offsets beyond":          file(`{"a":`+entry(`"U8"`, "[5]", "[0,5]")+`}`, 4),
		"offsets reversed":        file(`{"a":`+entry(`"U8"`, "[4]", "[4,0]")+`}`, 4),
		"one offset":              file(`{"a":`+entry(`"U8"`, "[4]", "[4]")+`}`, 4),
		"three offsets":           file(`{"a":`+entry(`"U8"`, "[4]", "[0,4,4]")+`}`, 4),
		"offset of 2^64":          file(`{"a":`+entry(`"U8"`, "[4]", "[0,18446744073709551616]")+`}`, 4),
		"overlap":                 file(`{"a":`+u8+`,"b":`+entry(`"U8"`, "[4]", "[2,6]")+`}`, 6),
		"the same bytes twice":    file(`{"a":`+u8+`,"b":`+u8+`}`, 4),
		"gap":                     file(`{"a":`+u8+`,"b":`+entry(`"U8"`, "[2]", "[6,8]")+`}`, 8),
		"gap at the start":        file(`{"b":`+entry(`"U8"`, "[2]", "[2,4]")+`}`, 4),
		"bytes left over":         file(`{"a":`+u8+`}`, 5),
		"bytes and no tensor":     file(`{}`, 1),
		"tensor twice":            file(`{"a":`+u8+`,"a":`+u8+`}`, 4),
		"tensor twice, escaped":   file(`{"a":`+u8+`,"\u0061":`+u8+`}`, 4),
		"metadata twice":          file(`{"__metadata__":{},"__metadata__":{}}`, 0),
		"metadata key twice":      file(`{"__metadata__":{"a":"","a":""}}`, 0),
		"metadata of numbers":     file(`{"__metadata__":{"a":1}}`, 0),
		"field twice":             file(`{"a":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]}}`, 4),
		"field missing":           file(`{"a":{"dtype":"U8","data_offsets":[0,4]}}`, 4),
		"field unknown":           file(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"x":1}}`, 4),
		"field in the wrong case": file(`{"a":{"DType":"U8","shape":[4],"data_offsets":[0,4]}}`, 4),
		"tensor null":             file(`{"a":null}`, 0),
		"deep nesting":            file(`{"a":`+strings.Repeat("[", 50_000)+`}`, 0),
		"deep shape":              file(`{"a":{"shape":`+strings.Repeat("[", 50_000)+`}}`, 0),
	}
	for name, content := range cases {
		t.Run(name, func(t *testing.T) {
			f, err := Open(write(t, "m.safetensors", content))
			var format *FormatError
			if !errors.As(err, &format) {
				t.Fatalf("Open = %v, %v; want a *FormatError", f, err)
			}
			if len(err.Error()) > 2000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

func TestRefusesEveryTruncation(t *testing.T) {
	content := small(t)
	for n := range content {
		if _, err := parse("m", content[:n]); err == nil {
			t.Fatalf("a file cut to %d of %d bytes was accepted", n, len(content))
		}
	}
	if _, err := parse("m", content); err != nil {
		t.Fatal(err)
	}
}

func TestManyTensors(t *testing.T) {
	const n = 100_000
	var b strings.Builder
	b.WriteByte('{')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"t%d":{"dtype":"U8","shape":[1],"data_offsets":[%d,%d]}`, i, i, i+1)
	}
	b.WriteByte('}')
	h, err := parse("m", file(b.String(), n))
	if err != nil || len(h.tensors) != n {
		t.Fatalf("%v", err)
	}
}

func TestSharded(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, content []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shardOf := func(name string, v float32) []byte {
		var b bytes.Buffer
		if err := Write(&b, []Entry{Float32Entry(name, []int{1}, []float32{v})}, nil); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	put("one.safetensors", shardOf("a", 1))
	put("two.safetensors", shardOf("b", 2))
	put(IndexName, []byte(`{"metadata":{"total_size":8},"weight_map":{"a":"one.safetensors","b":"two.safetensors"}}`))
	f, err := OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := f.Tensor("b")
	if err != nil {
		t.Fatal(err)
	}
	if v, err := b.Float32s(); err != nil || v[0] != 2 {
		t.Errorf("b = %v, %v", v, err)
	}
	one, two := sha256.Sum256(shardOf("a", 1)), sha256.Sum256(shardOf("b", 2))
	if want := sha256.Sum256([]byte(fmt.Sprintf("one.safetensors %x\ntwo.safetensors %x\n", one, two))); f.Digest() != want {
		t.Error("another digest than documented")
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for name, index := range map[string]string{
		"path upwards":     `{"weight_map":{"a":"../one.safetensors"}}`,
		"absolute path":    `{"weight_map":{"a":"/etc/passwd"}}`,
		"dot":              `{"weight_map":{"a":"."}}`,
		"empty name":       `{"weight_map":{"a":""}}`,
		"empty map":        `{"weight_map":{}}`,
		"no map":           `{}`,
		"not JSON":         `{`,
		"tensor elsewhere": `{"weight_map":{"a":"two.safetensors","b":"one.safetensors"}}`,
		"tensor nowhere":   `{"weight_map":{"a":"one.safetensors","c":"two.safetensors"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			put(IndexName, []byte(index))
			var format *FormatError
			if _, err := OpenDir(dir); !errors.As(err, &format) {
				t.Errorf("%v", err)
			}
		})
	}
	put(IndexName, []byte(`{"weight_map":{"a":"absent.safetensors"}}`))
	if _, err := OpenDir(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing shard: %v", err)
	}
}

func TestWriteRefuses(t *testing.T) {
	for name, entries := range map[string][]Entry{
		"name twice":     {Float32Entry("a", []int{1}, []float32{1}), Float32Entry("a", []int{1}, []float32{1})},
		"wrong length":   {Float32Entry("a", []int{2}, []float32{1})},
		"negative shape": {Float32Entry("a", []int{-1}, nil)},
		"unknown dtype":  {{Name: "a", DType: "F31", Shape: []int{1}, Data: []byte{1}}},
		"metadata":       {Float32Entry("__metadata__", []int{1}, []float32{1})},
	} {
		if err := Write(new(bytes.Buffer), entries, nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// FuzzSafetensors: no bytes make the reader panic, and what it accepts can be
// read whole.
func FuzzSafetensors(f *testing.F) {
	f.Add(small(f))
	f.Add(file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4))
	f.Add(file(`{"a":{"dtype":"F32","shape":[9223372036854775807,2],"data_offsets":[0,4]}}`, 4))
	f.Fuzz(func(t *testing.T, content []byte) {
		h, err := parse("m", content)
		var format *FormatError
		if err != nil {
			if !errors.As(err, &format) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		total := 0
		for _, tensor := range h.tensors {
			total += len(tensor.Bytes())
			if values, err := tensor.Float32s(); err == nil && len(values) != tensor.Len() {
				t.Fatalf("%d values of %d", len(values), tensor.Len())
			}
		}
		if total > len(content) {
			t.Fatalf("%d bytes of tensors in %d bytes of file", total, len(content))
		}
	})
}
