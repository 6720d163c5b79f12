package static

import (
	"math"
	"slices"

	"github.com/vecino-db/vecino/embed/weights"
	"github.com/vecino-db/vecino/kernels/f32"
)

// table is the vectors of a model's tokens.
type table struct {
	dim     int       // of a row
	keep    int       // components that are used, at most dim
	rows    []float32 // row-major, n x dim; may be the file's memory
	row     []int32   // the row of each token; nil: its own number
	weight  []float32 // of each token; nil: 1
	unknown int64     // the token that is dropped; -1: none
}

// newTable takes the tensors of a model of size tokens.
func newTable(dir string, f *weights.File, size int) (*table, error) {
	name := "embeddings"
	if !f.Has(name) && f.Has("embedding.weight") {
		name = "embedding.weight"
	}
	embeddings, err := f.Tensor(name)
	if err != nil {
		return nil, err
	}
	if len(embeddings.Shape) != 2 || embeddings.Len() == 0 {
		return nil, wrong(dir, "the tensor %s has shape %v, want rows and dimensions", name, embeddings.Shape)
	}
	t := &table{dim: embeddings.Shape[1], unknown: -1}
	t.keep = t.dim
	if t.rows, err = embeddings.Float32s(); err != nil {
		return nil, err
	}
	n := embeddings.Shape[0]
	if err := t.readMapping(dir, f, size, n); err != nil {
		return nil, err
	}
	if err := t.readWeights(dir, f, size); err != nil {
		return nil, err
	}
	if t.row == nil && n < size {
		return nil, wrong(dir, "%d vectors for %d tokens, and no mapping of tokens to vectors", n, size)
	}
	if i := slices.IndexFunc(t.rows, notFinite); i >= 0 {
		return nil, wrong(dir, "the vector %d has a component that is no finite number", i/t.dim)
	}
	return t, nil
}

func notFinite(x float32) bool {
	const exponent = 0xff << 23
	return math.Float32bits(x)&exponent == exponent
}

func (t *table) readMapping(dir string, f *weights.File, size, rows int) error {
	if !f.Has("mapping") {
		return nil
	}
	tensor, err := f.Tensor("mapping")
	if err != nil {
		return err
	}
	mapping, err := tensor.Int64s()
	if err != nil {
		return err
	}
	if len(mapping) < size {
		return wrong(dir, "a mapping of %d tokens for %d", len(mapping), size)
	}
	t.row = make([]int32, len(mapping))
	for token, row := range mapping {
		if row < 0 || row >= int64(rows) || row > math.MaxInt32 {
			return wrong(dir, "the token %d is mapped to vector %d of %d", token, row, rows)
		}
		t.row[token] = int32(row)
	}
	return nil
}

func (t *table) readWeights(dir string, f *weights.File, size int) error {
	if !f.Has("weights") {
		return nil
	}
	tensor, err := f.Tensor("weights")
	if err != nil {
		return err
	}
	weight, err := tensor.Float32s()
	if err != nil {
		return err
	}
	// A copy: what is small must not keep the whole file in memory.
	t.weight = slices.Clone(weight)
	if len(t.weight) < size {
		return wrong(dir, "weights of %d tokens for %d", len(t.weight), size)
	}
	if i := slices.IndexFunc(t.weight, notFinite); i >= 0 {
		return wrong(dir, "the weight of token %d is no finite number", i)
	}
	return nil
}

// known drops the unknown token from ids, in place.
func (t *table) known(ids []uint32) []uint32 {
	if t.unknown < 0 {
		return ids
	}
	return slices.DeleteFunc(ids, func(id uint32) bool { return int64(id) == t.unknown })
}

// at is the row of a token and its weight.
func (t *table) at(id uint32) (row int, weight float32) {
	row, weight = int(id), 1
	if t.row != nil {
		row = int(t.row[id])
	}
	if t.weight != nil {
		weight = t.weight[id]
	}
	return row, weight
}

// mean sets dst (of t.keep components) to the weighted mean of the tokens'
// vectors; zero for no tokens.
func (t *table) mean(dst []float32, ids []uint32) {
	clear(dst)
	if len(ids) == 0 {
		return
	}
	for _, id := range ids {
		row, w := t.at(id)
		from := row * t.dim
		f32.Axpy(dst, w, t.rows[from:from+t.keep])
	}
	f32.Scale(dst, 1/float32(len(ids)))
}
