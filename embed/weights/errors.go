package weights

import (
	"errors"
	"fmt"
)

// ErrNoTensor is wrapped when a tensor is asked for that the file lacks.
var ErrNoTensor = errors.New("no such tensor")

// FormatError says what is wrong with a file.
type FormatError struct {
	Path   string // the file
	Tensor string // the tensor that is wrong; empty: the file as a whole
	Reason string
}

// Error names file, tensor and reason, and what to do.
func (e *FormatError) Error() string {
	where := e.Path
	if e.Tensor != "" {
		where = fmt.Sprintf("%s: tensor %q", e.Path, cut(e.Tensor))
	}
	return fmt.Sprintf("%s: %s; the file is damaged or no safetensors file: get it again from where it came from", where, e.Reason)
}

// cut shortens a name that a hostile file made long.
func cut(name string) string {
	const most = 200
	if len(name) > most {
		return name[:most] + "..."
	}
	return name
}
