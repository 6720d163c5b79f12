package embed_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
)

// slow is an encoder that takes its time: a token is a byte, a vector two
// numbers of the hash of role and text. It refuses texts that begin with
// "bad", and panics at "panic".
type slow struct {
	fixed, perToken time.Duration // cost of a batch
	failure         error         // of every batch, when set
	limit           int           // MaxTokens

	mu      sync.Mutex
	batches []slowBatch
	tokens  int // encoded in batches that ended well
	running int
	most    int // batches that ran at the same time
	closed  int
	counted int // calls of CountTokens
}

// slowBatch is one call of Encode.
type slowBatch struct {
	role      embed.Role
	texts     []string
	tokens    int
	cancelled bool
}

func (s *slow) Space() compat.Space {
	return compat.Space{
		Encoder: "slow/1", Pooling: compat.PoolingNone, Normalization: compat.NormalizeNone,
		Precision: compat.PrecisionF32, MaxTokens: s.limit, Dimension: 2, FullDimension: 2,
	}
}

func (*slow) Info() embed.Info {
	return embed.Info{Model: "test:slow", Kind: "test", Description: "Takes its time."}
}

func (s *slow) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed++
	return nil
}

func (s *slow) CountTokens(_ embed.Role, texts []string) []int {
	s.mu.Lock()
	s.counted++
	s.mu.Unlock()
	counts := make([]int, len(texts))
	for i, t := range texts {
		counts[i] = len(t)
	}
	return counts
}

// cut is the tokens of a text that are encoded.
func (s *slow) cut(text string) int {
	if s.limit > 0 {
		return min(len(text), s.limit)
	}
	return len(text)
}

// slowRow is the vector of a text.
func slowRow(role embed.Role, text string) []float32 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%v %s", role, text))
	return []float32{1 + float32(binary.LittleEndian.Uint16(sum[:])), 1 + float32(binary.LittleEndian.Uint16(sum[2:]))}
}

func (s *slow) Encode(ctx context.Context, role embed.Role, texts []string) (embed.Encoded, error) {
	b := slowBatch{role: role, texts: slices.Clone(texts)}
	for _, text := range texts {
		b.tokens += s.cut(text)
	}
	if len(texts) == 0 {
		return embed.Encoded{}, nil
	}
	s.mu.Lock()
	s.running++
	s.most = max(s.most, s.running)
	s.mu.Unlock()
	if cost := s.fixed + time.Duration(b.tokens)*s.perToken; cost > 0 {
		select {
		case <-time.After(cost):
		case <-ctx.Done():
			b.cancelled = true
		}
	}
	s.mu.Lock()
	s.running--
	s.batches = append(s.batches, b)
	s.mu.Unlock()
	if b.cancelled {
		return embed.Encoded{}, ctx.Err()
	}
	if s.failure != nil {
		return embed.Encoded{}, s.failure
	}
	var out embed.Encoded
	var rows []float32
	for i, text := range texts {
		switch {
		case strings.HasPrefix(text, "bad"):
			return embed.Encoded{}, &embed.TextError{Index: i, Err: embed.ErrNoTokens}
		case text == "panic":
			panic("at the disco")
		}
		rows = append(rows, slowRow(role, text)...)
		out.Tokens = append(out.Tokens, s.cut(text))
		out.Truncated = append(out.Truncated, s.cut(text) < len(text))
	}
	s.mu.Lock()
	s.tokens += b.tokens
	s.mu.Unlock()
	stamper, err := embed.NewStamper(s.Space())
	if err != nil {
		return embed.Encoded{}, err
	}
	out.Vectors, err = stamper.Stamp(rows)
	return out, err
}

// took is the batches so far.
func (s *slow) took() []slowBatch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.batches)
}

// schedule makes a scheduler that is closed at the end of the test.
func schedule(t testing.TB, enc embed.Encoder, o embed.SchedulerOptions) *embed.Scheduler {
	t.Helper()
	s, err := embed.NewScheduler(enc, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// words is n texts of a size that begin with a name.
func words(name string, n, size int) []string {
	texts := make([]string, n)
	for i := range texts {
		text := fmt.Sprintf("%s%d.", name, i)
		texts[i] = text + strings.Repeat("x", max(0, size-len(text)))
	}
	return texts
}

// correct compares an outcome with what the texts have to give.
func correct(out embed.Encoded, s *slow, role embed.Role, texts []string) error {
	if out.Vectors.Len() != len(texts) || len(out.Tokens) != len(texts) || len(out.Truncated) != len(texts) {
		return fmt.Errorf("%d rows, %d tokens, %d truncated for %d texts", out.Vectors.Len(), len(out.Tokens), len(out.Truncated), len(texts))
	}
	for i, text := range texts {
		if !slices.Equal(out.Vectors.Row(i), slowRow(role, text)) || out.Tokens[i] != s.cut(text) || out.Truncated[i] != (s.cut(text) < len(text)) {
			return fmt.Errorf("text %d, %.20q: row %v, %d tokens, truncated %v", i, text, out.Vectors.Row(i), out.Tokens[i], out.Truncated[i])
		}
	}
	return nil
}
