package bert

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
)

// maxConfig bounds the small files of a model, in bytes.
const maxConfig = 4 << 20

// layout is what the small files of a directory say.
type layout struct {
	dir       string
	files     string // the directory of the weights and the tokenizer
	config    config
	maxTokens int  // 0: not said
	lower     bool // texts are lower-cased before they are tokenized
	pooling   pooling
	steps     []stepFile
	prompts   prompts
	truncate  int // dimension that vectors are cut to by default; 0: none
	card      embed.Card

	matryoshka    []int
	anyMatryoshka bool
}

// stepFile is one module behind pooling.
type stepFile struct {
	normalize bool
	dense     string // the directory of a dense module; empty: none
}

// module is one entry of sentence-transformers' modules.json.
type module struct {
	Path string `json:"path"`
	Type string `json:"type"`
}

func (m module) class() string { return m.Type[strings.LastIndexByte(m.Type, '.')+1:] }

// in is the module's directory within the model's.
func (m module) in(dir string) (string, error) {
	if m.Path != "" && !filepath.IsLocal(filepath.FromSlash(path.Clean(m.Path))) {
		return "", wrong(dir, "modules.json leads out of the directory: %q", short(m.Path))
	}
	return filepath.Join(dir, filepath.FromSlash(m.Path)), nil
}

// Is reports whether a directory looks like a transformer's, of whatever
// architecture: Open says whether it is one that this version runs. A directory
// that can't be read doesn't look like one.
func Is(dir string) bool {
	var modules []module
	if has, err := readJSON(filepath.Join(dir, "modules.json"), &modules); err == nil && has && len(modules) > 0 {
		return modules[0].class() == "Transformer"
	}
	var c config
	has, err := readJSON(filepath.Join(dir, "config.json"), &c)
	if err != nil || !has {
		return false
	}
	return c.ModelType != "" && c.ModelType != "model2vec" && c.architecture() != "StaticModel"
}

// readLayout reads the small files.
func readLayout(dir string) (layout, error) {
	l := layout{dir: dir, files: dir, pooling: pooling{kind: compat.PoolingMean, includePrompt: true}}
	if _, err := os.Stat(dir); err != nil {
		return l, fmt.Errorf("open model: %w", err)
	}
	var modules []module
	hasModules, err := readJSON(filepath.Join(dir, "modules.json"), &modules)
	if err != nil {
		return l, err
	}
	if hasModules {
		if err := l.readModules(modules); err != nil {
			return l, err
		}
	}
	has, err := readJSON(filepath.Join(l.files, "config.json"), &l.config)
	if err != nil {
		return l, err
	}
	if !has {
		return l, wrong(l.files, "it has no config.json, so it is no model directory")
	}
	l.matryoshka, l.anyMatryoshka = l.config.MatryoshkaSizes, l.config.AnyMatryoshka
	if err := l.readSentenceConfig(); err != nil {
		return l, err
	}
	if err := l.readPrompts(); err != nil {
		return l, err
	}
	l.card = embed.ReadCard(filepath.Join(dir, "README.md"))
	return l, nil
}

// readModules follows modules.json: a transformer, pooling, and what else is
// done to a vector.
func (l *layout) readModules(modules []module) error {
	if len(modules) < 2 || modules[0].class() != "Transformer" || modules[1].class() != "Pooling" {
		var names []string
		for _, m := range modules {
			names = append(names, short(m.Type))
		}
		return unsupported(l.dir, fmt.Sprintf("modules.json with %.500q", names), "a Transformer, then a Pooling, then any Dense and Normalize are")
	}
	var err error
	if l.files, err = modules[0].in(l.dir); err != nil {
		return err
	}
	for i, m := range modules[1:] {
		at, err := m.in(l.dir)
		if err != nil {
			return err
		}
		switch class := m.class(); {
		case class == "Pooling" && i == 0:
			if l.pooling, err = readPooling(l.dir, filepath.Join(at, "config.json")); err != nil {
				return err
			}
		case class == "Normalize":
			l.steps = append(l.steps, stepFile{normalize: true})
		case class == "Dense":
			l.steps = append(l.steps, stepFile{dense: at})
		case class == "Dropout": // does nothing outside of training
		default:
			return unsupported(l.dir, fmt.Sprintf("the module %q", short(m.Type)), "behind Transformer and Pooling, Dense and Normalize are")
		}
	}
	return nil
}

// readSentenceConfig reads what sentence-transformers adds to the transformer's
// files: the length that texts are cut to.
func (l *layout) readSentenceConfig() error {
	var c struct {
		MaxTokens *int `json:"max_seq_length"`
		Lower     bool `json:"do_lower_case"`
	}
	for _, kind := range []string{"bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"} {
		at := filepath.Join(l.files, "sentence_"+kind+"_config.json")
		has, err := readJSON(at, &c)
		if err != nil {
			return err
		}
		if !has {
			continue
		}
		l.lower = c.Lower
		if c.MaxTokens != nil && *c.MaxTokens < 1 {
			return wrong(at, "a max_seq_length of %d", *c.MaxTokens)
		}
		l.maxTokens = or(c.MaxTokens, 0)
		break
	}
	if l.maxTokens > 0 {
		return nil
	}
	// Tokenizers say a length of about 1e30 when they have no limit.
	var t struct {
		MaxTokens float64 `json:"model_max_length"`
	}
	if _, err := readJSON(filepath.Join(l.files, "tokenizer_config.json"), &t); err != nil {
		return err
	}
	if t.MaxTokens >= 1 && t.MaxTokens <= compat.MaxTokensLimit {
		l.maxTokens = int(t.MaxTokens)
	}
	return nil
}

// prompts are those of the two roles.
type prompts struct{ query, document string }

// readPrompts reads config_sentence_transformers.json. The prompts' names are
// those that sentence-transformers' encode_query and encode_document look for.
func (l *layout) readPrompts() error {
	var c struct {
		Prompts     map[string]string `json:"prompts"`
		Default     *string           `json:"default_prompt_name"`
		Truncate    *int              `json:"truncate_dim"`
		Matryoshka  []int             `json:"matryoshka_dims"`
		Matryoshka2 []int             `json:"matryoshka_dimensions"`
	}
	at := filepath.Join(l.dir, "config_sentence_transformers.json")
	if _, err := readJSON(at, &c); err != nil {
		return err
	}
	find := func(names ...string) string {
		if c.Default != nil {
			names = append(names, *c.Default)
		}
		for _, name := range names {
			if prompt, ok := c.Prompts[name]; ok {
				return prompt
			}
		}
		return ""
	}
	l.prompts = prompts{query: find("query"), document: find("document", "passage", "corpus")}
	l.matryoshka = append(append(l.matryoshka, c.Matryoshka...), c.Matryoshka2...)
	l.truncate = or(c.Truncate, 0)
	if l.truncate < 0 || len(l.prompts.query) > compat.MaxPromptBytes || len(l.prompts.document) > compat.MaxPromptBytes {
		return wrong(at, "a truncate_dim of %d, or a prompt of more than %d bytes", l.truncate, compat.MaxPromptBytes)
	}
	return nil
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
