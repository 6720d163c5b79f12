package bert

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/token"
	"github.com/vecino-db/vecino/embed/weights"
)

// Open loads the model in a directory. What this version can't run is an
// *UnsupportedError; wrong files are a *ModelError, *weights.FormatError or
// *token.FormatError, or wrap weights.ErrNoTensor.
func Open(dir string, o Options) (*Encoder, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	l, err := readLayout(dir)
	if err != nil {
		return nil, err
	}
	f, err := l.config.family(dir)
	if err != nil {
		return nil, err
	}
	d, err := l.config.design(dir, f)
	if err != nil {
		return nil, err
	}
	e := &Encoder{architecture: l.config.architecture(), lower: l.lower, threads: o.Threads}
	if e.threads == 0 {
		e.threads = runtime.GOMAXPROCS(0)
	}
	if e.tokenizer, err = token.OpenDir(l.files); err != nil {
		return nil, err
	}
	if n := e.tokenizer.Size(); n > d.Vocab {
		return nil, wrong(dir, "the tokenizer has %d tokens, the model %d", n, d.Vocab)
	}
	if e.file, err = weights.OpenDir(l.files); err != nil {
		return nil, err
	}
	if err := e.setUp(l, f, d, o); err != nil {
		return nil, errors.Join(err, e.file.Close())
	}
	return e, nil
}

// setUp loads the network and the modules behind it, and says what they are.
func (e *Encoder) setUp(l layout, f family, d design, o Options) (err error) {
	e.space = compat.Space{Encoder: version, Tokenizer: e.tokenizer.Digest(), Precision: o.Precision}
	if o.Precision == "" {
		e.space.Precision = compat.PrecisionF32
	}
	if e.network, err = newNetwork(l.dir, e.file, f, d, e.space.Precision); err != nil {
		return err
	}
	e.pooling = l.pooling
	if o.Pooling != "" {
		e.pooling.kind = o.Pooling
	}
	e.space.Pooling = e.pooling.kind
	if w := e.pooling.width; w != 0 && w != d.Hidden {
		return wrong(l.dir, "the Pooling module is of width %d, the model %d", w, d.Hidden)
	}
	digests, err := e.readSteps(l, o)
	if err != nil {
		return err
	}
	if err := e.setDimension(l, o); err != nil {
		return err
	}
	if err := e.setLimits(l, d, o); err != nil {
		return err
	}
	if e.space.Weights, err = e.digest(d, digests); err != nil {
		return err
	}
	e.info = e.describe(l, o)
	e.stamper, err = embed.NewStamper(e.space)
	return err
}

// readSteps loads the modules behind pooling. Scaling to length 1 at the end is
// the space's, because it comes after a Matryoshka cut.
func (e *Encoder) readSteps(l layout, o Options) (digests []compat.Digest, err error) {
	width := e.network.Hidden
	e.space.Normalization = compat.NormalizeNone
	for i, file := range l.steps {
		if file.normalize {
			if i == len(l.steps)-1 {
				e.space.Normalization = compat.NormalizeL2
				continue
			}
			e.steps = append(e.steps, step{normalize: true})
			continue
		}
		s, digest, err := readDense(file.dense, width)
		if err != nil {
			return nil, err
		}
		e.steps, digests, width = append(e.steps, s), append(digests, digest), s.out
	}
	if o.Normalization != "" {
		e.space.Normalization = o.Normalization
	}
	e.space.FullDimension = width
	return digests, nil
}

// setDimension settles what vectors are cut to.
func (e *Encoder) setDimension(l layout, o Options) error {
	full := e.space.FullDimension
	declared := matryoshka(full, l.matryoshka, o.Matryoshka, []int{l.truncate})
	e.info.Matryoshka = declared
	e.space.Dimension = full
	if l.truncate > 0 {
		e.space.Dimension = min(full, l.truncate)
	}
	if o.Dimension == 0 {
		return nil
	}
	if o.Dimension > full || o.Dimension != full && !l.anyMatryoshka && !slices.Contains(declared, o.Dimension) {
		return fmt.Errorf("%s: its vectors of %d can't be cut to %d: it declares the dimensions %v; choose one of them, leave the dimension out, or declare it where the model is known to allow it", l.dir, full, o.Dimension, append(declared, full))
	}
	e.space.Dimension = o.Dimension
	return nil
}

// setLimits settles prompts and the most tokens of a text.
func (e *Encoder) setLimits(l layout, d design, o Options) error {
	e.space.QueryPrompt, e.space.DocumentPrompt = or(o.QueryPrompt, l.prompts.query), or(o.DocumentPrompt, l.prompts.document)
	most := d.maxTokens()
	e.space.MaxTokens = most
	if l.maxTokens > 0 {
		e.space.MaxTokens = min(most, l.maxTokens)
	}
	if o.MaxTokens > most {
		return fmt.Errorf("%s: max tokens %d: the model has positions for %d; choose at most that", l.dir, o.MaxTokens, most)
	}
	if o.MaxTokens > 0 {
		e.space.MaxTokens = o.MaxTokens
	}
	if special := e.tokenizer.Special(); e.space.MaxTokens <= special {
		return fmt.Errorf("%s: max tokens %d leaves no room beside %d special tokens; choose more", l.dir, e.space.MaxTokens, special)
	}
	if !e.pooling.includePrompt {
		e.skip = [2]int{embed.RoleDocument: e.promptTokens(e.space.DocumentPrompt), embed.RoleQuery: e.promptTokens(e.space.QueryPrompt)}
	}
	return nil
}

// promptTokens is the tokens of a prompt and the special ones before it.
func (e *Encoder) promptTokens(prompt string) int {
	prompt = e.clean(prompt)
	if prompt == "" {
		return 0
	}
	own := e.tokenizer.Encode(prompt, token.Options{NoSpecial: true}).IDs
	all := e.tokenizer.Encode(prompt, token.Options{}).IDs
	for before := 0; before+len(own) <= len(all); before++ {
		if slices.Equal(all[before:before+len(own)], own) {
			return before + len(own)
		}
	}
	return len(own)
}

// digest is over all that decides the floats beside what the space has in fields
// of its own: a line "KIND SHA-256\n" for the settings, the network's weights
// and each dense module's.
func (e *Encoder) digest(d design, dense []compat.Digest) (compat.Digest, error) {
	settings := struct {
		Design        design
		Steps         []string
		ExcludePrompt bool
		Lower         bool
	}{Design: d, ExcludePrompt: !e.pooling.includePrompt, Lower: e.lower}
	for i := range e.steps {
		settings.Steps = append(settings.Steps, e.steps[i].name())
	}
	text, err := json.Marshal(settings)
	if err != nil {
		return compat.Digest{}, fmt.Errorf("digest of the settings: %w", err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "settings %x\nweights %s\n", sha256.Sum256(text), e.file.Digest())
	for _, digest := range dense {
		fmt.Fprintf(h, "dense %s\n", digest)
	}
	return compat.Digest(h.Sum(nil)), nil
}

func (e *Encoder) describe(l layout, o Options) embed.Info {
	name := o.Name
	if name == "" {
		name = filepath.Base(filepath.Clean(l.dir))
	}
	what := fmt.Sprintf("Reads up to %d tokens of a text; what is beyond is not in its vector.", e.space.MaxTokens)
	if l.card.Summary != "" {
		what = l.card.Summary + " " + what
	}
	return embed.Info{
		Model:       "local:" + strings.TrimPrefix(name, "local:"),
		Kind:        fmt.Sprintf("transformer (%s)", e.architecture),
		Description: what,
		Source:      l.dir,
		Licence:     l.card.Licence,
		Matryoshka:  e.info.Matryoshka,
	}
}
