package hub

import (
	"encoding/json"
	"fmt"
	"math"
	"path"
	"regexp"
	"slices"
	"strings"
)

// remoteFile is a file of a commit.
type remoteFile struct {
	Path   string
	Size   int64
	SHA256 string // as the hub states it; "" where it doesn't
}

const (
	weightsFile = "model.safetensors"
	indexFile   = "model.safetensors.index.json"
)

// The bounds of a file that is not weights, in bytes. The largest tokenizer of
// a known model has 33 MiB.
const (
	maxFileBytes = 64 << 20
	maxTextBytes = 4 << 20
)

// rootFiles are the files at the top that an encoder reads.
var rootFiles = []string{
	"config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json",
	"modules.json", "config_sentence_transformers.json", "README.md", weightsFile, indexFile,
}

var (
	sentenceConfig = regexp.MustCompile(`^sentence_[a-z-]{1,32}_config\.json$`)
	moduleFile     = regexp.MustCompile(`^[0-9]{1,2}_[A-Za-z0-9]{1,32}/(?:config\.json|model\.safetensors|tokenizer\.json)$`)
	legalFile      = regexp.MustCompile(`(?i)^(?:licen[sc]e|notice)(?:[-_][a-z0-9._-]{1,32})?(?:\.txt|\.md)?$`)
	shardFile      = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\.safetensors$`)
)

// wanted reports whether an encoder, or its user, reads the file. Shards are
// not among them: their index names them.
func wanted(name string) bool {
	return slices.Contains(rootFiles, name) || sentenceConfig.MatchString(name) || moduleFile.MatchString(name) || legalFile.MatchString(name)
}

// safeName refuses what no path of a repository can be.
func safeName(name string) error {
	switch {
	case name == "" || len(name) > 1024:
		return unsafe(name, "is empty or too long")
	case strings.ContainsRune(name, 0):
		return unsafe(name, "has a NUL")
	case strings.HasPrefix(name, "/") || strings.HasPrefix(name, `\`) || len(name) > 1 && name[1] == ':':
		return unsafe(name, "is absolute")
	case path.Clean(name) != name || slices.Contains(strings.FieldsFunc(name, func(r rune) bool { return r == '/' || r == '\\' }), ".."):
		return unsafe(name, "leads out of its directory")
	}
	return nil
}

// choose picks the files to download out of a listing. Where the weights are
// in shards, these are left to shards, once the index is there.
func choose(listed []remoteFile, maxBytes int64) ([]remoteFile, error) {
	var chosen []remoteFile
	for _, f := range listed {
		if wanted(f.Path) {
			chosen = append(chosen, f)
		}
	}
	if has(chosen, weightsFile) {
		chosen = slices.DeleteFunc(chosen, func(f remoteFile) bool { return f.Path == indexFile })
	}
	if err := checkWeights(listed, chosen); err != nil {
		return nil, err
	}
	slices.SortFunc(chosen, func(a, b remoteFile) int { return strings.Compare(a.Path, b.Path) })
	return chosen, checkChosen(chosen, maxBytes)
}

func has(files []remoteFile, name string) bool {
	return slices.ContainsFunc(files, func(f remoteFile) bool { return f.Path == name })
}

// checkWeights refuses a model whose weights, or those of one of its modules,
// are not to be had as safetensors.
func checkWeights(listed, chosen []remoteFile) error {
	found := false
	for _, f := range chosen {
		first := strings.HasPrefix(f.Path, "0_") && path.Base(f.Path) == weightsFile
		found = found || f.Path == weightsFile || f.Path == indexFile || first
	}
	if !found {
		for _, f := range listed {
			if ext := path.Ext(f.Path); ext == ".bin" || ext == ".pt" || ext == ".pth" || ext == ".h5" || ext == ".onnx" || ext == ".gguf" {
				return fmt.Errorf("%w: the repository has %.100q only: convert the model to safetensors (most hubs do it on request), or choose another", ErrNoWeights, f.Path)
			}
		}
		return fmt.Errorf("%w: the repository has no %s: choose a repository that holds a model", ErrNoWeights, weightsFile)
	}
	for _, f := range listed {
		dir, base := path.Split(f.Path)
		if base == "pytorch_model.bin" && dir != "" && moduleFile.MatchString(dir+weightsFile) && !has(chosen, dir+weightsFile) {
			return fmt.Errorf("%w: the module %s has %q only: convert it to safetensors, or choose another model", ErrNoWeights, strings.TrimSuffix(dir, "/"), base)
		}
	}
	return nil
}

// shards reads the index of weights and finds its files in the listing.
func shards(index []byte, listed []remoteFile) ([]remoteFile, error) {
	var content struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(index, &content); err != nil || len(content.WeightMap) == 0 {
		return nil, fmt.Errorf("%w: %s has no weight_map that can be read: choose another revision or model", ErrAnswer, indexFile)
	}
	named := map[string]bool{}
	var files []remoteFile
	for _, name := range content.WeightMap {
		if named[name] {
			continue
		}
		named[name] = true
		if !shardFile.MatchString(name) || strings.Contains(name, "..") {
			return nil, unsafe(name, "its index of weights names as a file beside it")
		}
		i := slices.IndexFunc(listed, func(f remoteFile) bool { return f.Path == name })
		if i < 0 {
			return nil, fmt.Errorf("%w: %s names %q, which the repository lacks: choose another revision or model", ErrNoWeights, indexFile, name)
		}
		files = append(files, listed[i])
	}
	slices.SortFunc(files, func(a, b remoteFile) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

// checkChosen refuses files that would fall together on a disk that ignores
// case, and sizes beyond the bounds.
func checkChosen(chosen []remoteFile, maxBytes int64) error {
	folded := map[string]string{}
	total := int64(0)
	for _, f := range chosen {
		key := strings.ToLower(f.Path)
		if other, ok := folded[key]; ok {
			return unsafe(f.Path, fmt.Sprintf("differs from %q by case only or not at all", other))
		}
		folded[key] = f.Path
		limit := int64(maxFileBytes)
		switch path.Ext(f.Path) {
		case ".safetensors":
			limit = math.MaxInt64
		case ".md", ".txt", "":
			if f.Path != "vocab.txt" {
				limit = maxTextBytes
			}
		}
		switch {
		case f.Size < 0:
			return fmt.Errorf("%w: the hub gives %q a size of %d: try again later, or choose another hub", ErrAnswer, f.Path, f.Size)
		case f.Size > limit:
			return fmt.Errorf("%q is %w: %s, and such a file has at most %s: choose another model", f.Path, ErrTooLarge, size(f.Size), size(limit))
		case f.Size > maxBytes-total:
			return fmt.Errorf("the model is %w: more than %s: raise the limit if this is meant, or choose another model", ErrTooLarge, size(maxBytes))
		}
		total += f.Size
	}
	return nil
}
