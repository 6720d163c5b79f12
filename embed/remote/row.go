package remote

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/vecino-db/vecino/compat"
)

// row is one vector of an answer. Unlike a []float32 it takes a null for no
// number, and nothing longer than a vector can be.
type row []float32

var errNumber = errors.New("a vector has something that is no finite number of 32 bits")

// UnmarshalJSON reads an array of numbers.
func (r *row) UnmarshalJSON(text []byte) error {
	// The decoder has checked that text is one valid JSON value.
	text = bytes.TrimSpace(text)
	if len(text) < 2 || text[0] != '[' {
		return errors.New("a vector is no array of numbers")
	}
	if text = bytes.TrimSpace(text[1 : len(text)-1]); len(text) == 0 {
		*r = row{}
		return nil
	}
	n := bytes.Count(text, []byte{','}) + 1
	if n > compat.MaxDimension {
		return fmt.Errorf("a vector has %d components, and at most %d are possible", n, compat.MaxDimension)
	}
	out := make(row, 0, n)
	for number := range bytes.SplitSeq(text, []byte{','}) {
		number = bytes.TrimSpace(number)
		if len(number) == 0 || number[0] != '-' && (number[0] < '0' || number[0] > '9') {
			return errNumber
		}
		x, err := strconv.ParseFloat(string(number), 32)
		if err != nil {
			return errNumber
		}
		out = append(out, float32(x))
	}
	*r = out
	return nil
}

// normalize gives the row length 1. It reports false for a row without a
// direction.
func (r row) normalize() bool {
	sum := 0.0
	for _, x := range r {
		sum += float64(x) * float64(x)
	}
	norm := math.Sqrt(sum)
	if norm == 0 {
		return false
	}
	for i, x := range r {
		r[i] = float32(float64(x) / norm)
	}
	return true
}

// decode reads one JSON value and nothing after it.
func decode(text []byte, answer any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(answer); err != nil {
		return fmt.Errorf("%w (%.200q): check the URL and the kind of the endpoint", ErrAnswer, err.Error())
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w (there is more after its end): check the URL and the kind of the endpoint", ErrAnswer)
	}
	return nil
}
