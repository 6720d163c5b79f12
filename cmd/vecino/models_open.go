package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
)

// modelRef names a model and its options on the command line:
//
//	builtin:blend
//	builtin:hash?dimensions=1024
//	local:NAME?precision=int8
//	./directory?query_prompt=query%3A+
type modelRef struct {
	text    string
	name    string // of a built-in model, "local:NAME", or a directory
	options api.EncoderOptions
}

// parseModelRef reads one. The error is a usageError.
func parseModelRef(text string) (modelRef, error) {
	name, query, _ := strings.Cut(text, "?")
	ref := modelRef{text: text, name: name}
	values, err := url.ParseQuery(query)
	if err != nil {
		return ref, usageError{fmt.Errorf("model %q: its options can't be read: write them as NAME?precision=int8&dimensions=256", text)}
	}
	for key, list := range values {
		value, bad := list[len(list)-1], false
		switch key {
		case "precision":
			ref.options.Precision = compat.Precision(value)
			bad = value != string(compat.PrecisionF32) && value != string(compat.PrecisionInt8)
		case "dimensions":
			ref.options.Dimensions, err = strconv.Atoi(value)
			bad = err != nil || ref.options.Dimensions < 1
		case "query_prompt":
			ref.options.QueryPrompt = &value
		case "document_prompt":
			ref.options.DocumentPrompt = &value
		case "normalize":
			normalize, err := strconv.ParseBool(value)
			ref.options.Normalize, bad = &normalize, err != nil
		default:
			return ref, usageError{fmt.Errorf("model %q: there is no option %q; there are precision (f32, int8), dimensions, query_prompt, document_prompt and normalize", text, key)}
		}
		if bad {
			return ref, usageError{fmt.Errorf("model %q: the option %s can't be %q", text, key, value)}
		}
	}
	return ref, nil
}

// dir is the directory of a local model; "" for built-in ones.
func (r modelRef) dir(models string) string {
	if name, ok := strings.CutPrefix(r.name, "local:"); ok {
		return filepath.Join(modelsDir(models), name)
	}
	if api.Builtin(r.name) {
		return ""
	}
	return r.name
}

// open opens the model; the caller closes it.
func (r modelRef) open(ctx context.Context, models string, threads int) (embed.Encoder, error) {
	dir := r.dir(models)
	if dir == "" {
		return api.OpenBuiltin(r.name, r.options)
	}
	if name, ok := strings.CutPrefix(r.name, "local:"); ok && !filepath.IsLocal(name) {
		return nil, usageError{fmt.Errorf("model %q: the name is no directory below --models", r.text)}
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("model %q: there is no directory %s; name one, or pull the model by vecino models pull", r.text, dir)
	}
	label := r.name
	if !strings.HasPrefix(label, "local:") {
		label = "local:" + filepath.Base(filepath.Clean(dir))
	}
	return api.OpenLocal(ctx, dir, label, r.options, threads)
}
