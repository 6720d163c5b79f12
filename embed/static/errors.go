package static

import "fmt"

// UnsupportedError says what a model directory is, when it is no static model.
type UnsupportedError struct {
	Dir string
	// Architecture is what its config.json calls it: "BertModel", "bert".
	Architecture string
}

// Error says what it is and what would load.
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("%s is a %s model, which this version can't run: it runs static models (Model2Vec, or sentence-transformers' StaticEmbedding); choose one of those, or builtin:hash", e.Dir, e.Architecture)
}

// ModelError says what is wrong with a static model's files.
type ModelError struct {
	Dir    string
	Reason string
}

// Error names the directory and the reason, and what to do.
func (e *ModelError) Error() string {
	return fmt.Sprintf("%s: %s; get the model again from where it came from", e.Dir, e.Reason)
}

func wrong(dir, reason string, args ...any) error {
	return &ModelError{Dir: dir, Reason: fmt.Sprintf(reason, args...)}
}
