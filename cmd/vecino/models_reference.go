package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vecino-db/vecino/embed"
)

// referenceCheck compares the first components of one vector with published
// ones.
type referenceCheck struct {
	Name       string  `json:"name"` // as the reference calls the model
	Text       string  `json:"text"`
	Agrees     bool    `json:"agrees"`
	Difference float64 `json:"max_difference"`
	Values     int     `json:"values"`
}

// String is the outcome in words.
func (r referenceCheck) String() string {
	outcome := "agrees with"
	if !r.Agrees {
		outcome = "DIFFERS from"
	}
	return fmt.Sprintf("%s what is known of %s: the first %d values for %q differ by %.2g at most", outcome, r.Name, r.Values, r.Text, r.Difference)
}

// Reference values are published to 3 decimals or more.
const (
	referenceFile      = "fastembed-canonical.json"
	referenceTolerance = 2e-3
	maxReferenceBytes  = 16 << 20
)

// referenceNames are the names by which references may know a model.
func referenceNames(name string, found inspection) []string {
	names := []string{strings.TrimPrefix(name, "local:"), path.Base(filepath.ToSlash(filepath.Clean(name)))}
	if found.Pulled != nil {
		names = slices.Insert(names, 0, found.Pulled.Repository)
	}
	return names
}

// compareReference checks the model against reference vectors; nil when there
// are none, or none of the model. Organizations may be left out of a name
// where that leaves one model.
func compareReference(ctx context.Context, encoder embed.Encoder, dir string, names []string) (*referenceCheck, error) {
	asked := dir != ""
	if shared := os.Getenv("VECINO_SHARED"); !asked && shared != "" {
		dir = filepath.Join(shared, "golden", "reference-vectors")
	}
	if dir == "" {
		return nil, nil
	}
	file := filepath.Join(dir, referenceFile)
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !asked:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reference vectors: %w", err)
	case info.Size() > maxReferenceBytes:
		return nil, fmt.Errorf("reference vectors: %s is too large", file)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reference vectors: %w", err)
	}
	var known struct {
		Text    string               `json:"text"`
		Vectors map[string][]float64 `json:"vectors"`
	}
	if err := json.Unmarshal(data, &known); err != nil {
		return nil, fmt.Errorf("reference vectors: %s: %w", file, err)
	}
	name := referenceOf(known.Vectors, names)
	if name == "" {
		return nil, nil
	}
	out, err := encoder.Encode(ctx, embed.RoleDocument, []string{known.Text})
	if err != nil {
		return nil, err
	}
	want, row := known.Vectors[name], out.Vectors.Row(0)
	check := &referenceCheck{Name: name, Text: known.Text, Values: min(len(want), len(row))}
	for i := range check.Values {
		check.Difference = max(check.Difference, math.Abs(want[i]-float64(row[i])))
	}
	check.Agrees = check.Difference <= referenceTolerance
	return check, nil
}

// referenceOf finds the one model that a name means.
func referenceOf(vectors map[string][]float64, names []string) string {
	for _, name := range names {
		if _, ok := vectors[name]; ok {
			return name
		}
		var found []string
		for known := range vectors {
			if strings.EqualFold(path.Base(known), name) {
				found = append(found, known)
			}
		}
		if len(found) == 1 {
			return found[0]
		}
	}
	return ""
}
