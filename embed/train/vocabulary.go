package train

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/vecino-db/vecino/embed/token"
	"golang.org/x/text/unicode/norm"
)

// UnknownToken stands for what a vocabulary of BuildVocabulary lacks; it is
// token 0.
const UnknownToken = "[UNK]"

// pieceMark begins the tokens that continue a word.
const pieceMark = "##"

// Words cuts a text into the words of a vocabulary: camelCase is taken apart,
// accents go, letters become small, and what is left are the runs of a-z and
// 0-9.
func Words(text string) []string {
	var (
		words []string
		word  []byte
		last  rune
	)
	flush := func() {
		if len(word) > 0 {
			words = append(words, string(word))
			word = word[:0]
		}
	}
	ascii := true
	for i := range len(text) {
		ascii = ascii && text[i] < 0x80
	}
	if !ascii {
		text = norm.NFD.String(text)
	}
	for _, r := range text {
		switch {
		case 'a' <= r && r <= 'z' || '0' <= r && r <= '9':
			word = append(word, byte(r))
		case 'A' <= r && r <= 'Z':
			if 'a' <= last && last <= 'z' || '0' <= last && last <= '9' {
				flush()
			}
			word = append(word, byte(r)+'a'-'A')
		case 0x300 <= r && r <= 0x36f:
			// an accent of the letter before it
			continue
		default:
			flush()
		}
		last = r
	}
	flush()
	return words
}

// Counter counts the words of sources.
type Counter struct {
	sources map[string]map[string]int
}

// NewCounter has counted nothing.
func NewCounter() *Counter { return &Counter{sources: map[string]map[string]int{}} }

// Add counts the words of a text of a source.
func (c *Counter) Add(source, text string) {
	counts := c.sources[source]
	if counts == nil {
		counts = map[string]int{}
		c.sources[source] = counts
	}
	for _, w := range Words(text) {
		counts[w]++
	}
}

// scored is a word or piece with its weight.
type scored struct {
	text  string
	score float64
}

// byScore sorts by falling weight, and words of one weight by their letters.
func byScore(m map[string]float64) []scored {
	list := make([]scored, 0, len(m))
	for text, score := range m {
		list = append(list, scored{text, score})
	}
	slices.SortFunc(list, func(a, b scored) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		}
		return strings.Compare(a.text, b.text)
	})
	return list
}

// longestWord and longestPiece bound tokens, in letters: what is longer is a
// run of words or a number in hexadecimal.
const (
	longestWord  = 20
	longestPiece = 10
)

// BuildVocabulary chooses size tokens: UnknownToken, the letters and digits
// alone and as pieces, at most words of the words that weigh most, and for the
// rest pieces that the other words are made of. A word weighs the sum over the
// sources of the square root of its count, so that no source outvotes the
// others by its length.
func (c *Counter) BuildVocabulary(size, words int) ([]string, error) {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	base := 1 + 2*len(letters)
	if words < 0 || size < base+words || size > 1<<20 {
		return nil, fmt.Errorf("train: a vocabulary of %d tokens, %d of them words: give at least %d tokens more than words, and at most %d in all", size, words, base, 1<<20)
	}
	vocabulary := []string{UnknownToken}
	known := map[string]bool{}
	add := func(t string) {
		if !known[t] {
			known[t] = true
			vocabulary = append(vocabulary, t)
		}
	}
	for _, l := range letters {
		add(string(l))
	}
	for _, l := range letters {
		add(pieceMark + string(l))
	}
	weights := map[string]float64{}
	for _, counts := range c.sources {
		for w, n := range counts {
			weights[w] += math.Sqrt(float64(n))
		}
	}
	// Sums over maps come in any order; what they round to decides no order here.
	for w, x := range weights {
		weights[w] = math.Round(x*1e6) / 1e6
	}
	ranked := byScore(weights)
	var rest []scored
	taken := 0
	for _, w := range ranked {
		if taken < words && len(w.text) <= longestWord && !junk(w.text) {
			if !known[w.text] {
				taken++
			}
			add(w.text)
			continue
		}
		rest = append(rest, w)
	}
	for _, p := range pieces(rest, known, size-len(vocabulary)) {
		add(p)
	}
	return vocabulary, nil
}

// junk are words that are numbers in truth.
func junk(w string) bool {
	digits := 0
	for i := range len(w) {
		if w[i] <= '9' {
			digits++
		}
	}
	return digits > 4 || digits > 2 && digits < len(w)
}

// pieces chooses so many tokens out of the words that are no tokens themselves:
// the beginnings and continuations that most of their weight is made of. Each
// round covers the words by longest match and drops the pieces that are used
// least.
func pieces(words []scored, known map[string]bool, size int) []string {
	const most = 200_000 // words, the heaviest
	words = words[:min(len(words), most)]
	weights := map[string]float64{}
	for _, w := range words {
		if len(w.text) > 2*longestWord || junk(w.text) {
			continue
		}
		for from := range len(w.text) {
			for to := from + 2; to <= min(len(w.text), from+longestPiece); to++ {
				piece := w.text[from:to]
				if from > 0 {
					piece = pieceMark + piece
				}
				weights[piece] += w.score * float64(to-from-1)
			}
		}
	}
	for p, x := range weights {
		if known[p] {
			delete(weights, p)
			continue
		}
		weights[p] = math.Round(x*1e6) / 1e6
	}
	ranked := byScore(weights)
	for keep := 4 * size; ; keep = max(size, keep*2/3) {
		ranked = ranked[:min(len(ranked), keep)]
		if keep == size || len(ranked) <= size {
			break
		}
		set := make(map[string]bool, len(ranked))
		for _, p := range ranked {
			set[p.text] = true
		}
		used := map[string]float64{}
		for _, w := range words {
			cover(w.text, func(t string) bool { return set[t] || known[t] }, func(t string) {
				if set[t] {
					used[t] += w.score
				}
			})
		}
		for p := range set {
			used[p] = math.Round(used[p]*1e6) / 1e6
		}
		ranked = byScore(used)
	}
	out := make([]string, 0, len(ranked))
	for _, p := range ranked {
		out = append(out, p.text)
	}
	return out
}

// cover cuts a word into tokens by longest match, as WordPiece does.
func cover(word string, has func(string) bool, use func(string)) {
	for from := 0; from < len(word); {
		to := min(len(word), from+2*longestWord)
		for ; to > from; to-- {
			t := word[from:to]
			if from > 0 {
				t = pieceMark + t
			}
			if has(t) {
				use(t)
				break
			}
		}
		if to == from {
			return
		}
		from = to
	}
}

// TokenizerFile is the tokenizer.json of a vocabulary of BuildVocabulary: words
// as Words has them, but of any script, each covered by the longest tokens; a
// word that can't be covered is UnknownToken.
func TokenizerFile(vocabulary []string) ([]byte, error) {
	ids := make(map[string]int, len(vocabulary))
	for i, t := range vocabulary {
		ids[t] = i
	}
	if len(ids) != len(vocabulary) || len(vocabulary) == 0 || vocabulary[0] != UnknownToken {
		return nil, fmt.Errorf("train: a vocabulary of %d different tokens of %d that begins with %q: it wants %s first, and each token once", len(ids), len(vocabulary), vocabulary[:min(1, len(vocabulary))], UnknownToken)
	}
	type object = map[string]any
	return json.Marshal(object{
		"version": "1.0", "truncation": nil, "padding": nil, "post_processor": nil,
		"added_tokens": []object{{"id": 0, "content": UnknownToken, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}},
		"normalizer": object{"type": "Sequence", "normalizers": []object{
			{"type": "Replace", "pattern": object{"Regex": token.CamelBoundary}, "content": " "},
			{"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": nil, "lowercase": true},
		}},
		"pre_tokenizer": object{"type": "Sequence", "pretokenizers": []object{
			{"type": "Punctuation", "behavior": "Removed"},
			{"type": "WhitespaceSplit"},
		}},
		"decoder": object{"type": "WordPiece", "prefix": pieceMark, "cleanup": true},
		"model":   object{"type": "WordPiece", "unk_token": UnknownToken, "continuing_subword_prefix": pieceMark, "max_input_chars_per_word": 100, "vocab": ids},
	})
}
