package bert

import "fmt"

// UnsupportedError says what of a model this version can't run. Nothing has
// been embedded when it is returned.
type UnsupportedError struct {
	Dir    string
	What   string // what it is: `architecture "T5EncoderModel"`, `hidden_act "mish"`
	Reason string // why it is refused, or what would be taken
}

// Error names the directory, the feature and the reason.
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("%s: %s is not supported: %s; choose another model", e.Dir, e.What, e.Reason)
}

// ModelError says what is wrong with a model's files.
type ModelError struct {
	Path   string // the directory or the file
	Reason string
}

// Error names the file and the reason, and what to do.
func (e *ModelError) Error() string {
	return fmt.Sprintf("%s: %s; get the model again from where it came from", e.Path, e.Reason)
}

func wrong(path, reason string, args ...any) error {
	return &ModelError{Path: path, Reason: fmt.Sprintf(reason, args...)}
}

func unsupported(dir, what, reason string, args ...any) error {
	return &UnsupportedError{Dir: dir, What: what, Reason: fmt.Sprintf(reason, args...)}
}

// short cuts what a hostile file made long.
func short(s string) string {
	const most = 100
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
