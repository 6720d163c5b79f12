package remote

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/remote/egress"
)

// maxUnknownDimension bounds the answer to the first text, whose dimension
// tells that of the model.
const maxUnknownDimension = compat.MaxDimension

// firstText is what New asks a vector for.
const firstText = "The ferry leaves the harbour at seven."

// Encoder encodes by one model of an endpoint. It is safe for concurrent use.
type Encoder struct {
	options   Options // without its key
	model     string
	base      *url.URL
	http      *http.Client
	authorize func(http.Header)
	redact    func(string) string
	breaker   *breaker
	slots     chan struct{} // one for each request in flight
	maxTexts  int
	witness   witness
	kept      kept
	space     compat.Space
	stamper   *compat.Stamper
	source    string
	// noTokenize is set once the endpoint has no /tokenize.
	noTokenize atomic.Bool
}

var _ embed.Encoder = (*Encoder)(nil)

// New makes the encoder. Unless Options.Lazy is set it asks the endpoint for
// one vector, so that a wrong URL, key, model or dimension is an error here,
// and for text-embeddings-inference's limits. Errors wrap one of the package's
// Err values, or are those of Options.Validate.
func New(ctx context.Context, o Options) (*Encoder, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	base, err := o.base()
	if err != nil {
		return nil, err
	}
	o = o.withDefaults()
	e := &Encoder{model: o.Model, base: base, authorize: o.APIKey.Bearer(), redact: o.APIKey.Redactor(), source: base.String()}
	if o.Transport == nil {
		o.Transport = egress.Policy{Loopback: o.AllowLoopback, Private: o.AllowPrivate}.Transport()
	}
	e.http = egress.Client(o.Transport)
	o.APIKey = "" // what holds the encoder can be printed
	e.options = o
	e.breaker = &breaker{endpoint: base.Host, limit: o.Failures, cooldown: o.Cooldown, now: o.Clock.Now}
	e.slots = make(chan struct{}, o.Concurrency)
	e.kept.clock = o.Clock
	e.maxTexts = o.MaxTexts
	dimension := o.Dimensions
	if !o.Lazy {
		if dimension, err = e.meet(ctx); err != nil {
			e.http.CloseIdleConnections()
			return nil, err
		}
	}
	if fill(&e.maxTexts, DefaultMaxTexts); o.Kind == KindTEI && o.MaxTexts == 0 && e.maxTexts == DefaultMaxTexts {
		e.maxTexts = DefaultTEITexts
	}
	e.space = Space(o.Kind, e.model, dimension, o.QueryPrompt, o.DocumentPrompt)
	if e.stamper, err = embed.NewStamper(e.space); err != nil {
		return nil, fmt.Errorf("remote encoder: %w", err)
	}
	return e, nil
}

// meet learns the model's name, limits and dimension from the endpoint.
func (e *Encoder) meet(ctx context.Context) (dimension int, err error) {
	if e.options.Kind == KindTEI {
		info, err := e.info(ctx)
		switch {
		case err != nil:
			return 0, err
		case info.ModelType.Embedding == nil:
			return 0, fmt.Errorf("%w: the model that %s runs makes no embeddings: run one that does", ErrModel, e.base.Host)
		case e.model != "" && e.model != info.ModelID:
			return 0, fmt.Errorf("%w: %s runs %.200q and not %q: give that name, or run this model", ErrModel, e.base.Host, info.ModelID, e.model)
		case info.ModelID == "" || len(info.ModelID) > 256 || egress.Plain(info.ModelID, 256) != info.ModelID:
			return 0, fmt.Errorf("%w: %s names no model: give its name", ErrAnswer, e.base.Host)
		}
		e.model = info.ModelID
		if info.ModelSHA != "" {
			e.source += " (revision " + egress.Plain(info.ModelSHA, 64) + ")"
		}
		if n := info.MaxClientBatchSize; n > 0 && n <= 1<<16 && (e.maxTexts == 0 || n < e.maxTexts) {
			e.maxTexts = n
		}
	}
	rows, err := e.vectors(ctx, []string{e.options.DocumentPrompt + firstText})
	if err != nil {
		return 0, err
	}
	dimension = len(rows[0])
	if want := e.options.Dimensions; dimension == 0 || want != 0 && dimension != want {
		return 0, fmt.Errorf("%w: %s gives %d for %q, and %d are asked for: give the model's own, or one that it can be shortened to with Shorten", ErrDimension, e.base.Host, dimension, e.model, want)
	}
	return dimension, nil
}

// Space is the space of a model behind an endpoint, as the package's comment
// defines it.
func Space(kind Kind, model string, dimension int, queryPrompt, documentPrompt string) compat.Space {
	return compat.Space{
		Encoder:        "remote/1",
		Weights:        sha256.Sum256([]byte(strings.Join([]string{"vecino remote/1", string(kind), model, strconv.Itoa(dimension)}, "\x00"))),
		Pooling:        compat.PoolingNone,
		QueryPrompt:    queryPrompt,
		DocumentPrompt: documentPrompt,
		Normalization:  compat.NormalizeL2,
		Precision:      compat.PrecisionF32,
		Dimension:      dimension,
		FullDimension:  dimension,
	}
}

// Space implements embed.Encoder.
func (e *Encoder) Space() compat.Space { return e.space }

// Info implements embed.Encoder.
func (e *Encoder) Info() embed.Info {
	return embed.Info{
		Model: string(e.options.Kind) + ":" + e.model,
		Kind:  "remote (" + string(e.options.Kind) + ")",
		Description: "Sends every text to " + e.base.Host + ". Its model is known by name only: probes notice when another stands behind it. " +
			"Numbers of tokens may be estimates.",
		Source: e.source,
	}
}

// Close implements embed.Encoder. It ends idle connections.
func (e *Encoder) Close() error {
	e.http.CloseIdleConnections()
	return nil
}

// prompted is the texts as they are sent.
func (e *Encoder) prompted(role embed.Role, texts []string) []string {
	prompt := e.space.DocumentPrompt
	if role == embed.RoleQuery {
		prompt = e.space.QueryPrompt
	}
	out := make([]string, len(texts))
	for i, text := range texts {
		out[i] = prompt + strings.ToValidUTF8(text, "\ufffd")
	}
	return out
}

// Encode implements embed.Encoder. Texts without a character that can be seen
// are refused with embed.ErrNoTokens, before anything is sent.
func (e *Encoder) Encode(ctx context.Context, role embed.Role, texts []string) (embed.Encoded, error) {
	if err := ctx.Err(); err != nil {
		return embed.Encoded{}, err
	}
	for i, text := range texts {
		switch {
		case !embeddable(text):
			return embed.Encoded{}, &embed.TextError{Index: i, Err: embed.ErrNoTokens}
		case len(text) > e.options.MaxText:
			return embed.Encoded{}, &embed.TextError{Index: i, Err: fmt.Errorf("%w: the text has %d bytes, and at most %d are sent: split it", ErrRefused, len(text), e.options.MaxText)}
		}
	}
	sent := e.prompted(role, texts)
	epoch := e.Epoch()
	list := e.kept.take(epoch, sent)
	out, err := e.ask(ctx, sent, list)
	if err == nil {
		err = firstRefusal(list)
	}
	if err != nil {
		// Who asks again without the text that failed the batch pays for none twice.
		if e.witnesses() > 0 && e.Epoch() == epoch {
			e.kept.put(epoch, sent, list)
		}
		return embed.Encoded{}, err
	}
	flat := make([]float32, 0, len(list)*e.space.Dimension)
	for _, o := range list {
		flat = append(flat, o.row...)
	}
	if out.Vectors, err = e.stamper.Stamp(flat); err != nil {
		return embed.Encoded{}, fmt.Errorf("remote encoder: %w", err)
	}
	return out, nil
}

// ask has the endpoint make what the list lacks. A text that is
// refused is a result, too. The vectors are not in what it gives.
func (e *Encoder) ask(ctx context.Context, sent []string, list []made) (embed.Encoded, error) {
	out := embed.Encoded{Tokens: make([]int, len(sent)), Truncated: make([]bool, len(sent))}
	var missing, estimates []int
	for i, text := range sent {
		out.Tokens[i] = estimate(text)
		if !list[i].done() {
			missing, estimates = append(missing, i), append(estimates, out.Tokens[i])
		}
	}
	var refusals atomic.Int64
	for _, m := range list {
		if m.refusal != nil {
			refusals.Add(1)
		}
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(e.options.Concurrency + 1)
	if e.options.Kind == KindTEI {
		group.Go(func() error {
			out.Tokens = e.count(groupCtx, sent)
			return nil
		})
	}
	for _, b := range embed.Batches(estimates, embed.Budget{Tokens: e.options.MaxTokens, Texts: e.maxTexts - e.witnesses()}) {
		group.Go(func() error { return e.batch(groupCtx, sent, list, missing[b[0]:b[1]], &refusals) })
	}
	err := group.Wait()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return out, err
}

// firstRefusal takes the first refusal out of a list, as the error of
// the batch.
func firstRefusal(list []made) error {
	for i, o := range list {
		if o.refusal != nil {
			list[i] = made{}
			return &embed.TextError{Index: i, Err: o.refusal}
		}
	}
	return nil
}

// enoughRefusals is how many refused texts are looked for at once: an endpoint that
// refuses everything is not to be asked about each.
const enoughRefusals = 8

// batch fills the list at some indices. When the endpoint refuses the batch for
// its texts, halves of it find those that it means, up to enoughRefusals.
func (e *Encoder) batch(ctx context.Context, sent []string, list []made, at []int, refusals *atomic.Int64) error {
	if refusals.Load() >= enoughRefusals {
		return nil
	}
	texts := make([]string, len(at))
	for i, text := range at {
		texts[i] = sent[text]
	}
	got, err := e.witnessed(ctx, texts)
	var status *StatusError
	if errors.As(err, &status) && status.text() {
		if len(at) == 1 {
			list[at[0]].refusal = err
			refusals.Add(1)
			return nil
		}
		middle := len(at) / 2
		if err := e.batch(ctx, sent, list, at[:middle], refusals); err != nil {
			return err
		}
		return e.batch(ctx, sent, list, at[middle:], refusals)
	}
	if err != nil {
		return err
	}
	for i, r := range got {
		if len(r) != e.space.Dimension {
			return fmt.Errorf("%w: %s gives %d for %q, which had %d: the model behind the name has changed: restore it, or make a collection for the new one", ErrDimension, e.base.Host, len(r), e.model, e.space.Dimension)
		}
		if !r.normalize() {
			refusals.Add(1)
			list[at[i]].refusal = fmt.Errorf("%w: the vector has no direction: change the text, or choose another model", ErrAnswer)
			continue
		}
		list[at[i]].row = r
	}
	return nil
}
