package token

import "fmt"

// FormatError says what is wrong with a tokenizer's file.
type FormatError struct {
	Path      string // the file; empty when it was parsed from memory
	Component string // where in it, as a path of keys: "normalizer.normalizers[1]"
	Reason    string
}

// Error names file, component and reason, and what to do.
func (e *FormatError) Error() string {
	where := "tokenizer"
	if e.Path != "" {
		where = e.Path
	}
	if e.Component != "" {
		where += ": " + e.Component
	}
	return fmt.Sprintf("%s: %s; get the file again from where it came from, or choose a model whose tokenizer this program knows", where, e.Reason)
}

// bad makes a FormatError whose Path is set where the file is known.
func bad(component, reason string, args ...any) *FormatError {
	return &FormatError{Component: component, Reason: fmt.Sprintf(reason, args...)}
}

// cut shortens what a hostile file made long.
func cut(s string) string {
	const most = 120
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
