package train

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"math"
	"os"
)

// A checkpoint is a file of
//
//	"vecino-train/1\n"  identity (32 bytes)  length of state (uint32)  state (JSON)
//	rows  first moments  second moments  (float32)  steps of the rows (uint32)
//	1 byte: whether the best rows follow, and those
//	SHA-256 of all before it
//
// little-endian. The identity is a digest over the options that decide the
// steps, the pairs and the rows before training, so that no training goes on
// from another one's state.
const checkpointMagic = "vecino-train/1\n"

// ErrCheckpoint is returned, wrapped, for a checkpoint that is not of this
// training, or is damaged.
var ErrCheckpoint = errors.New("the checkpoint is not of this training")

// identify computes the identity.
func (r *run) identify() {
	h := sha256.New()
	o := r.options
	fmt.Fprintln(h, checkpointMagic, o.Nested, o.Batch, o.Epochs, o.Rate, o.Warmup, o.Temperature, o.Seed, o.HeldEvery, o.Patience, r.model.Dimension)
	writeNumbers(h, r.model.Rows, math.Float32bits)
	for _, s := range []*Set{r.set, o.Held} {
		if s == nil {
			continue
		}
		same := func(x uint32) uint32 { return x }
		writeNumbers(h, s.ids, same)
		writeNumbers(h, s.ends, same)
		writeNumbers(h, s.groups, same)
		for i, m := range s.members {
			fmt.Fprintln(h, s.sources[i])
			writeNumbers(h, m, same)
		}
	}
	h.Sum(r.identity[:0])
}

// writeNumbers writes numbers of 32 bits. Errors are the writer's to keep.
func writeNumbers[T any](w io.Writer, numbers []T, bits func(T) uint32) {
	var chunk [1 << 14]byte
	for len(numbers) > 0 {
		n := min(len(numbers), len(chunk)/4)
		for i, x := range numbers[:n] {
			binary.LittleEndian.PutUint32(chunk[4*i:], bits(x))
		}
		_, _ = w.Write(chunk[:4*n])
		numbers = numbers[n:]
	}
}

// readNumbers reads numbers of 32 bits.
func readNumbers[T any](r io.Reader, numbers []T, of func(uint32) T) error {
	var chunk [1 << 14]byte
	for len(numbers) > 0 {
		n := min(len(numbers), len(chunk)/4)
		if _, err := io.ReadFull(r, chunk[:4*n]); err != nil {
			return err
		}
		for i := range n {
			numbers[i] = of(binary.LittleEndian.Uint32(chunk[4*i:]))
		}
		numbers = numbers[n:]
	}
	return nil
}

// checkpoint writes the state, where one is wanted.
func (r *run) checkpoint() error {
	if r.options.Checkpoint == "" {
		return nil
	}
	r.saved = r.started.Add(r.elapsed() - r.past)
	path := r.options.Checkpoint + ".new"
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	err = errors.Join(r.write(file), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(path, r.options.Checkpoint)
	}
	if err != nil {
		_ = os.Remove(path)
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

func (r *run) write(to io.Writer) error {
	sum := sha256.New()
	out := bufio.NewWriterSize(to, 1<<20)
	w := io.MultiWriter(out, sum)
	s := r.state
	s.Elapsed = r.elapsed()
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	// Errors of a bufio.Writer stay until Flush reports them.
	_, _ = io.WriteString(w, checkpointMagic)
	_, _ = w.Write(r.identity[:])
	_, _ = w.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(text))))
	_, _ = w.Write(text)
	for _, numbers := range [][]float32{r.table.rows, r.table.first, r.table.second} {
		writeNumbers(w, numbers, math.Float32bits)
	}
	writeNumbers(w, r.table.steps, func(x uint32) uint32 { return x })
	if r.bestRows == nil {
		_, _ = w.Write([]byte{0})
	} else {
		_, _ = w.Write([]byte{1})
		writeNumbers(w, r.bestRows, math.Float32bits)
	}
	_, _ = out.Write(sum.Sum(nil))
	return out.Flush()
}

// resume takes up the checkpoint, if there is one.
func (r *run) resume() error {
	if r.options.Checkpoint == "" {
		return nil
	}
	r.identify()
	file, err := os.Open(r.options.Checkpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	defer file.Close()
	// The rows are the caller's: they must not hold half of a damaged file.
	before := append([]float32{}, r.table.rows...)
	if err := r.read(file); err != nil {
		copy(r.table.rows, before)
		return fmt.Errorf("%w: %s: %w; remove the file to begin anew", ErrCheckpoint, r.options.Checkpoint, err)
	}
	r.past = r.Elapsed
	return nil
}

func (r *run) read(from io.Reader) error {
	sum := sha256.New()
	in := bufio.NewReaderSize(from, 1<<20)
	tee := io.TeeReader(in, sum)
	head := make([]byte, len(checkpointMagic)+len(r.identity)+4)
	if _, err := io.ReadFull(tee, head); err != nil {
		return err
	}
	rest, ok := bytes.CutPrefix(head, []byte(checkpointMagic))
	if !ok || !bytes.Equal(rest[:len(r.identity)], r.identity[:]) {
		return errors.New("other options, pairs or rows")
	}
	const most = 1 << 16
	length := binary.LittleEndian.Uint32(rest[len(r.identity):])
	if length > most {
		return errors.New("a state of impossible length")
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(tee, text); err != nil {
		return err
	}
	var s state
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	for _, numbers := range [][]float32{r.table.rows, r.table.first, r.table.second} {
		if err := readNumbers(tee, numbers, math.Float32frombits); err != nil {
			return err
		}
	}
	if err := readNumbers(tee, r.table.steps, func(x uint32) uint32 { return x }); err != nil {
		return err
	}
	var has [1]byte
	if _, err := io.ReadFull(tee, has[:]); err != nil {
		return err
	}
	var best []float32
	if has[0] == 1 {
		best = make([]float32, len(r.table.rows))
		if err := readNumbers(tee, best, math.Float32frombits); err != nil {
			return err
		}
	}
	if err := checkSum(in, sum); err != nil {
		return err
	}
	r.state, r.bestRows = s, best
	return nil
}

// checkSum compares the last bytes with the digest of those before.
func checkSum(in io.Reader, sum hash.Hash) error {
	var want [sha256.Size]byte
	if _, err := io.ReadFull(in, want[:]); err != nil {
		return err
	}
	if !bytes.Equal(sum.Sum(nil), want[:]) {
		return errors.New("the file is damaged")
	}
	return nil
}

// removeCheckpoint removes the file of a training that has come to its end.
func (r *run) removeCheckpoint() error {
	if r.options.Checkpoint == "" {
		return nil
	}
	if err := os.Remove(r.options.Checkpoint); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}
