package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"

	"github.com/vecino-db/vecino/embed/weights"
)

// Files are a trained model as its directory holds it: the layout of Model2Vec,
// which package static opens.
//
//	model.safetensors  embeddings int8 [tokens, dimension], weights float32 [tokens]
//	tokenizer.json     as it was given
//	config.json        normalize, matryoshka_dimensions
//	README.md          the model card
//
// A row is weights[t] * embeddings[t]: the weight is the row's greatest
// magnitude / 127, so a component is off by at most half of that.
type Files struct {
	Weights   []byte
	Tokenizer []byte
	Config    []byte
	Card      []byte
}

// Pack makes the files of a model; tokenizer is the file of its tokenizer, nested
// the dimensions that it may be cut to, and extra what else config.json holds.
func Pack(m *Model, tokenizer []byte, nested []int, card string, extra map[string]any) (Files, error) {
	if err := m.check(); err != nil {
		return Files{}, err
	}
	n := m.Tokenizer.Size()
	codes, scales := Quantize(m.Rows, m.Dimension)
	data := make([]byte, len(codes))
	for i, c := range codes {
		data[i] = byte(c)
	}
	var buffer bytes.Buffer
	err := weights.Write(&buffer, []weights.Entry{
		{Name: "embeddings", DType: weights.I8, Shape: []int{n, m.Dimension}, Data: data},
		weights.Float32Entry("weights", []int{n}, scales),
	}, map[string]string{"format": "pt"})
	if err != nil {
		return Files{}, err
	}
	kept := []int{}
	for _, d := range nested {
		if d < m.Dimension {
			kept = append(kept, d)
		}
	}
	members := map[string]any{
		"model_type": "model2vec", "architectures": []string{"StaticModel"}, "hidden_dim": m.Dimension,
		"normalize": true, "matryoshka_dimensions": kept,
	}
	maps.Copy(members, extra)
	config, err := json.MarshalIndent(members, "", "  ")
	if err != nil {
		return Files{}, err
	}
	return Files{Weights: buffer.Bytes(), Tokenizer: tokenizer, Config: append(config, '\n'), Card: []byte(card)}, nil
}

// Quantize makes bytes of rows of dim numbers: rows[i] is about
// scales[i/dim] * codes[i].
func Quantize(rows []float32, dim int) (codes []int8, scales []float32) {
	codes, scales = make([]int8, len(rows)), make([]float32, len(rows)/dim)
	for i := range scales {
		row := rows[i*dim : (i+1)*dim]
		var top float32
		for _, x := range row {
			top = max(top, x, -x)
		}
		if top == 0 {
			continue
		}
		scales[i] = top / 127
		for j, x := range row {
			codes[i*dim+j] = int8(math.RoundToEven(float64(x / top * 127)))
		}
	}
	return codes, scales
}

// ErrInstalled is returned by Write for a directory that is there already.
var ErrInstalled = errors.New("there is a model of that name already")

// Write makes the directory dir of the files, whole or not at all: they are
// written beside it and renamed. dir must not be there.
func (f Files) Write(dir string) (err error) {
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write model %s: %w", dir, ErrInstalled)
	}
	temporary, err := os.MkdirTemp(filepath.Dir(dir), ".training-")
	if err != nil {
		return fmt.Errorf("write model: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write model: %w", err), os.RemoveAll(temporary))
		}
	}()
	if err := os.Chmod(temporary, 0o755); err != nil {
		return err
	}
	for _, file := range []struct {
		name    string
		content []byte
	}{{"model.safetensors", f.Weights}, {"tokenizer.json", f.Tokenizer}, {"config.json", f.Config}, {"README.md", f.Card}} {
		if err := writeSynced(filepath.Join(temporary, file.name), file.content); err != nil {
			return err
		}
	}
	return os.Rename(temporary, dir)
}

func writeSynced(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Sync(), file.Close())
}

// Floats are the numbers that codes and scales stand for.
func Floats(codes []int8, scales []float32) []float32 {
	if len(scales) == 0 {
		return nil
	}
	dim := len(codes) / len(scales)
	rows := make([]float32, len(codes))
	for i, c := range codes {
		rows[i] = scales[i/dim] * float32(c)
	}
	return rows
}
