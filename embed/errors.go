package embed

import "fmt"

// Error names the text and the reason.
func (e *TextError) Error() string {
	return fmt.Sprintf("text %d: %v", e.Index, e.Err)
}

// Unwrap gives the reason.
func (e *TextError) Unwrap() error { return e.Err }
