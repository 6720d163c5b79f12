package static

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vecino-db/vecino/embed"
)

// maxConfig bounds the small files of a model, in bytes.
const maxConfig = 4 << 20

// layout is what the configuration files of a directory say.
type layout struct {
	dir        string
	files      string // the directory of the weights and the tokenizer
	normalize  bool
	model2vec  bool // config.json is Model2Vec's
	seqLength  int  // 0: none
	matryoshka []int
	card       embed.Card
}

// config is the part of config.json that matters here.
type config struct {
	ModelType     string   `json:"model_type"`
	Architectures []string `json:"architectures"`
	Normalize     *bool    `json:"normalize"`
	SeqLength     float64  `json:"seq_length"`
	Matryoshka    []int    `json:"matryoshka_dimensions"`
}

// static reports whether config.json is that of a Model2Vec model.
func (c config) static() bool {
	return c.ModelType == "model2vec" || slices.Contains(c.Architectures, "StaticModel")
}

// name is what the model is, as far as config.json says.
func (c config) name() string {
	switch {
	case len(c.Architectures) > 0:
		return short(strings.Join(c.Architectures, ", "))
	case c.ModelType != "":
		return short(c.ModelType)
	default:
		return "unknown"
	}
}

// short cuts what a hostile file made long.
func short(s string) string {
	const most = 100
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

// module is one entry of sentence-transformers' modules.json.
type module struct {
	Path string `json:"path"`
	Type string `json:"type"`
}

func (m module) is(class string) bool {
	return m.Type[strings.LastIndexByte(m.Type, '.')+1:] == class
}

// readLayout finds out what the directory is. A model of another kind is an
// *UnsupportedError.
func readLayout(dir string) (layout, error) {
	l := layout{dir: dir, files: dir}
	var c config
	hasConfig, err := readJSON(filepath.Join(dir, "config.json"), &c)
	if err != nil {
		return l, err
	}
	var modules []module
	hasModules, err := readJSON(filepath.Join(dir, "modules.json"), &modules)
	if err != nil {
		return l, err
	}
	if !hasConfig && !hasModules {
		if _, err := os.Stat(dir); err != nil {
			return l, fmt.Errorf("open model: %w", err)
		}
		return l, wrong(dir, "it has neither config.json nor modules.json, so it is no model directory")
	}
	l.model2vec = c.static()
	isStatic := l.model2vec
	for _, m := range modules {
		switch {
		case m.is("StaticEmbedding"):
			isStatic = true
			if m.Path != "" && !filepath.IsLocal(filepath.FromSlash(path.Clean(m.Path))) {
				return l, wrong(dir, "modules.json leads out of the directory: %q", short(m.Path))
			}
			l.files = filepath.Join(dir, filepath.FromSlash(m.Path))
		case m.is("Normalize"):
			l.normalize = true
		default:
			return l, &UnsupportedError{Dir: dir, Architecture: moduleName(m, c, isStatic)}
		}
	}
	if !isStatic {
		return l, &UnsupportedError{Dir: dir, Architecture: c.name()}
	}
	l.take(c)
	l.card = embed.ReadCard(filepath.Join(dir, "README.md"))
	return l, nil
}

// take takes over what config.json says of the vectors.
func (l *layout) take(c config) {
	if c.Normalize != nil {
		l.normalize = *c.Normalize
	}
	// A length beyond any text is the way models say that there is no limit.
	if c.SeqLength >= 1 && c.SeqLength <= maxSeqLength {
		l.seqLength = int(c.SeqLength)
	}
	l.matryoshka = c.Matryoshka
	slices.Sort(l.matryoshka)
}

// maxSeqLength is the largest seq_length that is taken for a limit.
const maxSeqLength = 1 << 20

// moduleName names a model by its module that isn't supported.
func moduleName(m module, c config, static bool) string {
	switch {
	case m.is("Transformer") && c.name() != "unknown":
		return c.name()
	case static:
		return "static (with a module " + short(m.Type) + ")"
	default:
		return short(m.Type)
	}
}

// readJSON reads a small JSON file; false when there is none.
func readJSON(path string, to any) (bool, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open model: %w", err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxConfig+1))
	if err != nil {
		return false, fmt.Errorf("open model: %w", err)
	}
	if len(content) > maxConfig {
		return false, wrong(path, "it is larger than %d bytes", maxConfig)
	}
	if err := json.Unmarshal(content, to); err != nil {
		return false, wrong(path, "%v", err)
	}
	return true, nil
}
