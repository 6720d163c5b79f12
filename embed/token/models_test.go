package token

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// The models are compared with their definitions, written as plainly as can be,
// on random vocabularies and words over a small alphabet.

const seed = 20240611

// randomWord is over an alphabet with characters of one to four bytes.
func randomWord(r *rand.Rand, alphabet string, longest int) string {
	letters := []rune(alphabet)
	var b strings.Builder
	for range 1 + r.IntN(longest) {
		b.WriteRune(letters[r.IntN(len(letters))])
	}
	return b.String()
}

func idsOf(m model, word string) []uint32 {
	s := new(scratch)
	s.start(m, true)
	s.reset(word, 0, true)
	m.tokenize(s, piece{0, len(word)})
	if len(s.offsets) != len(s.ids) || len(s.texts) != len(s.ids) {
		panic(fmt.Sprintf("%d ids, %d offsets, %d texts", len(s.ids), len(s.offsets), len(s.texts)))
	}
	return slices.Clone(s.ids)
}

func marshal(t testing.TB, v any) json.RawMessage {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestTrieAgainstMap(t *testing.T) {
	r := rand.New(rand.NewPCG(seed, 1))
	for range 20 {
		want := make(map[string]uint32)
		var list []entry
		for i := range 1 + r.IntN(3000) {
			b := make([]byte, r.IntN(6))
			for k := range b {
				b[k] = byte(r.IntN(256))
				if r.IntN(2) == 0 {
					b[k] &= 3 // NUL too
				}
			}
			list = append(list, entry{string(b), uint32(i)})
			want[string(b)] = uint32(i)
		}
		tr := newTrie(list)
		for s, id := range want {
			if node := tr.find(root, s); node == none || tr.units[node].value != int32(id) {
				t.Fatalf("seed %d: %q isn't %d", seed, s, id)
			}
			s += string(rune(r.IntN(256)))
			node := tr.find(root, s)
			if _, ok := want[s]; ok != (node != none && tr.units[node].value >= 0) {
				t.Fatalf("seed %d: %q: found %v, want %v", seed, s, !ok, ok)
			}
		}
		if n := len(tr.units); n > 600*len(list)+openBlocks*256 {
			t.Errorf("%d units for %d keys", n, len(list))
		}
	}
}

// plainWordPiece is BERT's greedy longest match first.
func plainWordPiece(vocab map[string]uint32, unk uint32, most int, word string) []uint32 {
	if utf8.RuneCountInString(word) > most {
		return []uint32{unk}
	}
	var ids []uint32
	for start := 0; start < len(word); {
		end := len(word)
		for ; end > start; end-- {
			sub := word[start:end]
			if start > 0 {
				sub = "##" + sub
			}
			if id, ok := vocab[sub]; ok {
				ids = append(ids, id)
				break
			}
		}
		if end == start {
			return []uint32{unk}
		}
		start = end
	}
	return ids
}

func TestWordPieceAgainstDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(seed, 2))
	for range 300 {
		vocab := map[string]uint32{"[UNK]": 0, "##": 1}
		for range r.IntN(40) {
			token := randomWord(r, "abé日𝄞#", 4)
			if r.IntN(2) == 0 {
				token = "##" + token
			}
			if _, ok := vocab[token]; !ok {
				vocab[token] = uint32(len(vocab))
			}
		}
		m, err := buildModel(marshal(t, map[string]any{"type": "WordPiece", "vocab": vocab, "max_input_chars_per_word": 8}))
		if err != nil {
			t.Fatal(err)
		}
		for range 30 {
			word := randomWord(r, "abé日𝄞#", 9)
			if got, want := idsOf(m, word), plainWordPiece(vocab, 0, 8, word); !slices.Equal(got, want) {
				t.Fatalf("seed %d: %q = %v, want %v with %v", seed, word, got, want, vocab)
			}
		}
	}
}

// plainUnigram tries every way to cut the word and gives the greatest score.
func plainUnigram(scores map[string]float64, unk float64, word string) float64 {
	if word == "" {
		return 0
	}
	best := math.Inf(-1)
	_, first := utf8.DecodeRuneInString(word)
	for end := 1; end <= len(word); end++ {
		score, ok := scores[word[:end]]
		if !ok && end == first {
			score, ok = unk, true
		}
		if ok {
			best = max(best, score+plainUnigram(scores, unk, word[end:]))
		}
	}
	return best
}

func TestUnigramAgainstDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(seed, 3))
	for range 200 {
		vocab := [][]any{{"<unk>", 0.0}}
		scores := make(map[string]float64)
		least := 0.0
		for range r.IntN(25) {
			token := randomWord(r, "abé日", 4)
			if _, twice := scores[token]; twice {
				continue
			}
			scores[token] = -10 * r.Float64()
			least = min(least, scores[token])
			vocab = append(vocab, []any{token, scores[token]})
		}
		m, err := buildModel(marshal(t, map[string]any{"type": "Unigram", "unk_id": 0, "vocab": vocab}))
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			word := randomWord(r, "abé日x", 8)
			total, spelled := 0.0, ""
			s := new(scratch)
			s.start(m, true)
			s.reset(word, 0, true)
			m.tokenize(s, piece{0, len(word)})
			for i, id := range s.ids {
				o := s.offsets[i]
				spelled += word[o.From:o.To]
				if id == 0 {
					total += (least - unkPenalty) * float64(utf8.RuneCountInString(word[o.From:o.To]))
					if i > 0 && s.ids[i-1] == 0 {
						t.Fatalf("seed %d: %q has two unknown tokens in a row", seed, word)
					}
				} else {
					total += scores[word[o.From:o.To]]
				}
			}
			want := plainUnigram(scores, least-unkPenalty, word)
			if spelled != word || math.Abs(total-want) > 1e-9 {
				t.Fatalf("seed %d: %q is cut into %q of score %v, the best is %v", seed, word, s.texts, total, want)
			}
		}
	}
}

// plainBPE merges the leftmost pair of the least rank until there is none.
func plainBPE(ranks map[[2]string]int, word []string) []string {
	for {
		best, at := math.MaxInt, -1
		for i := 0; i+1 < len(word); i++ {
			if rank, ok := ranks[[2]string{word[i], word[i+1]}]; ok && rank < best {
				best, at = rank, i
			}
		}
		if at < 0 {
			return word
		}
		word = slices.Replace(slices.Clone(word), at, at+2, word[at]+word[at+1])
	}
}

func TestBPEAgainstDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(seed, 4))
	for range 200 {
		vocab := make(map[string]int)
		tokens := []string{"a", "b", "é", "▁"}
		for i, token := range tokens {
			vocab[token] = i
		}
		ranks := make(map[[2]string]int)
		merges := []any{}
		for range r.IntN(30) {
			pair := [2]string{tokens[r.IntN(len(tokens))], tokens[r.IntN(len(tokens))]}
			if _, twice := ranks[pair]; twice {
				continue
			}
			ranks[pair] = len(merges)
			if r.IntN(2) == 0 {
				merges = append(merges, pair[0]+" "+pair[1])
			} else {
				merges = append(merges, pair)
			}
			joined := pair[0] + pair[1]
			if _, ok := vocab[joined]; !ok {
				vocab[joined] = len(vocab)
				tokens = append(tokens, joined)
			}
		}
		// Lists of pairs and of strings don't mix in files; here they do.
		m, err := buildModel(marshal(t, map[string]any{"type": "BPE", "vocab": vocab, "merges": merges}))
		if err != nil {
			t.Fatal(err)
		}
		for range 30 {
			word := randomWord(r, "abé▁", 20)
			var got []string
			for _, id := range idsOf(m, word) {
				token, _ := m.vocabulary().token(id)
				got = append(got, token)
			}
			if want := plainBPE(ranks, strings.Split(word, "")); !slices.Equal(got, want) {
				t.Fatalf("seed %d: %q = %q, want %q with %v", seed, word, got, want, merges)
			}
		}
	}
}

func TestBPEOptions(t *testing.T) {
	bytes := map[string]any{"<unk>": 0, "a": 1, "b": 2, "ab": 3, "abc": 4}
	for b := range 256 {
		bytes[fmt.Sprintf("<0x%02X>", b)] = 10 + b
	}
	few := map[string]any{"<unk>": 0, "a": 1, "b": 2, "ab": 3, "abc": 4}
	clip := map[string]any{"a": 0, "b": 1, "a</w>": 2, "b</w>": 3, "ab</w>": 4}
	for name, c := range map[string]struct {
		model map[string]any
		word  string
		want  []uint32
	}{
		"byte fallback":       {map[string]any{"vocab": bytes, "byte_fallback": true, "unk_token": "<unk>", "merges": []string{"a b"}}, "abé", []uint32{3, 10 + 0xc3, 10 + 0xa9}},
		"no byte fallback":    {map[string]any{"vocab": bytes, "unk_token": "<unk>", "merges": []string{"a b"}}, "abéé", []uint32{3, 0, 0}},
		"fused unknown":       {map[string]any{"vocab": few, "unk_token": "<unk>", "fuse_unk": true, "merges": []string{}}, "éxa", []uint32{0, 1}},
		"no unknown":          {map[string]any{"vocab": few, "merges": []string{}}, "éa", []uint32{1}},
		"without ignore":      {map[string]any{"vocab": few, "unk_token": "<unk>", "merges": []string{"a b"}}, "abc", []uint32{3, 0}},
		"ignore merges":       {map[string]any{"vocab": few, "unk_token": "<unk>", "ignore_merges": true, "merges": []string{"a b"}}, "abc", []uint32{4}},
		"end of word suffix":  {map[string]any{"vocab": clip, "end_of_word_suffix": "</w>", "merges": []string{"a b</w>"}}, "aab", []uint32{0, 4}},
		"version line":        {map[string]any{"vocab": few, "merges": []string{"#version: 0.2", "a b"}}, "ab", []uint32{3}},
		"prefix of followers": {map[string]any{"vocab": map[string]int{"a": 0, "##b": 1, "ab": 2}, "continuing_subword_prefix": "##", "merges": []string{"a ##b"}}, "ab", []uint32{2}},
	} {
		c.model["type"] = "BPE"
		m, err := buildModel(marshal(t, c.model))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := idsOf(m, c.word); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q = %v, want %v", name, c.word, got, c.want)
		}
	}
}

func TestUnigramByteFallback(t *testing.T) {
	vocab := [][]any{{"<unk>", 0.0}, {"a", -1.0}}
	for b := range 256 {
		vocab = append(vocab, []any{fmt.Sprintf("<0x%02X>", b), 0.0})
	}
	m, err := buildModel(marshal(t, map[string]any{"type": "Unigram", "unk_id": 0, "byte_fallback": true, "vocab": vocab}))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := idsOf(m, "aé"), []uint32{1, 2 + 0xc3, 2 + 0xa9}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
