package hash_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/fnv"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"

	"github.com/clipperhouse/uax29/v2/words"
	"github.com/kljensen/snowball/english"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/embedtest"
	"github.com/vecino-db/vecino/embed/hash"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// reference follows the specification in the package's doc comment, step by
// step, with nothing in mind but to be read: it shares no code with the
// encoder. It returns nil for a text that is refused.
func reference(text string, dimension int) []float32 {
	var order []string
	counts := map[string]int{}
	term := func(key string) {
		if counts[key]++; counts[key] == 1 {
			order = append(order, key)
		}
	}

	// Steps 1 and 2.
	valid := strings.ToValidUTF8(text, "\uFFFD")
	var kept strings.Builder
	for _, r := range norm.NFKD.String(valid) {
		switch {
		case 0x300 <= r && r <= 0x36F, r == 0xAD:
		case r == 0x2019:
			kept.WriteByte('\'')
		default:
			kept.WriteRune(r)
		}
	}
	folded := norm.NFC.String(cases.Fold().String(kept.String()))
	pieces := words.FromString(folded)

	// Step 3.
	var all []string // words, and "" for other pieces
	found := false
	for pieces.Next() {
		piece := pieces.Value()
		if !strings.ContainsFunc(piece, func(r rune) bool { return unicode.In(r, unicode.L, unicode.N) }) {
			piece = ""
		}
		all = append(all, piece)
		found = found || piece != ""
	}
	stops := set(hash.StopWords())
	for _, drop := range []bool{true, false} {
		for i, word := range all {
			switch {
			case word == "":
			case unspaced(word):
				term("u" + word)
				if i > 0 && all[i-1] != "" && unspaced(all[i-1]) {
					term("p" + all[i-1] + word)
				}
			case !drop || !stops[word]:
				term("w" + stemOf(word))
			}
		}
		if len(order) > 0 {
			break
		}
	}
	if !found {
		last := rune(-1)
		for _, r := range valid {
			if !unicode.IsSpace(r) {
				term("s" + string(r))
				if last >= 0 {
					term("s" + string(last) + string(r))
				}
				last = r
			} else {
				last = -1
			}
		}
	}
	if len(order) == 0 {
		return nil
	}
	common := map[string]bool{}
	for _, w := range hash.CommonWords() {
		common["w"+stemOf(w)] = true
	}

	// Steps 4 and 5.
	sums := make([]*big.Int, dimension)
	for i := range sums {
		sums[i] = new(big.Int)
	}
	add := func(key string, w int64) {
		h := new(big.Int).SetUint64(hashed(key))
		at := new(big.Int).Mul(h, big.NewInt(int64(dimension)))
		at.Rsh(at, 64)
		if h.Bit(0) == 1 {
			w = -w
		}
		sums[at.Int64()].Add(sums[at.Int64()], big.NewInt(w))
	}
	weigh := func(key string) int64 {
		f, k := counts[key], 0
		for 2<<k <= f {
			k++
		}
		w := 1024 + 710*int64(k) + 710*int64(f-1<<k)/int64(1<<k)
		if key[0] == 'u' || common[key] {
			w /= 2
		}
		return w
	}
	for _, key := range order {
		w := weigh(key)
		add(key, w)
		if key[0] != 'w' {
			continue
		}
		stem := []rune(key[1:])
		n := 4
		if unicode.In(stem[0], unicode.Hangul, unicode.Katakana) {
			n = 2
		}
		marked := []rune("<" + string(stem[:min(64, len(stem))]) + ">")
		for i := 0; i+n <= len(marked); i++ {
			add("c"+string(marked[i:i+n]), w/4)
		}
	}
	row := make([]float32, dimension)
	for range 2 {
		total := 0.0
		for _, s := range sums {
			v, _ := new(big.Float).SetInt(s).Float64()
			total += float64(v * v)
		}
		if total == 0 {
			add(order[0], weigh(order[0]))
			continue
		}
		for i, s := range sums {
			v, _ := new(big.Float).SetInt(s).Float64()
			row[i] = float32(v / math.Sqrt(total))
		}
		break
	}
	return row
}

func set(words []string) map[string]bool {
	s := map[string]bool{}
	for _, w := range words {
		s[w] = true
	}
	return s
}

func unspaced(word string) bool {
	return unicode.In([]rune(word)[0], unicode.Han, unicode.Hiragana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}

func stemOf(word string) string {
	if len(word) < 3 || len(word) > 32 || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz'") != "" ||
		strings.ContainsFunc(word, func(r rune) bool { return r != '\'' && (r < 'a' || r > 'z') }) {
		return word
	}
	return english.Stem(word, true)
}

func hashed(key string) uint64 {
	f := fnv.New64a()
	f.Write([]byte(key))
	h := f.Sum64()
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	return h
}

// against compares the encoder with the reference, bit by bit.
func against(t *testing.T, e *hash.Encoder, text string) {
	t.Helper()
	want := reference(text, e.Space().Dimension)
	out, err := e.Encode(context.Background(), embed.RoleDocument, []string{text})
	if (want == nil) != (err != nil) {
		t.Errorf("%.60q: error %v, but the reference embeds it: %v", text, err, want != nil)
		return
	}
	for i, x := range want {
		if got := out.Vectors.Row(0)[i]; math.Float32bits(got) != math.Float32bits(x) {
			t.Errorf("%.60q: component %d is %g, want %g", text, i, got, x)
			return
		}
	}
}

func TestAgainstReference(t *testing.T) {
	e, small := newEncoder(t, 0), newEncoder(t, 64)
	for _, texts := range [][]string{embedtest.Texts(), {
		"the of and", "to be or not to be", "The Who", "don’t", "Don't use it, user's", "RÉSUMÉ resume re\u0301sume\u0301",
		"Straße STRASSE", "co\u00adoperate cooperate", "ﬁne fine", "①②③", "?!", "!", "♥", "♥ ♥♥ ☂", "...", "\x00\x00\x00",
		"東京タワーへ行く", "東京 京東", "한국어 한국을 한국", "ประเทศไทย", "snake_case camelCase a.b.c 3.14 1,000",
		"İstanbul ΣΊΣΥΦΟΣ", "a\u0301\u0301", "\u0301\u0302", strings.Repeat("x", 33), strings.Repeat("é", 100), "x' 'x ''' '' '",
	}} {
		for _, text := range texts {
			against(t, e, text)
			against(t, small, text)
		}
	}
	for name, text := range embedtest.Hostile() {
		if len(text) > 1<<16 {
			text = text[:1<<16]
		}
		against(t, e, text)
		if t.Failed() {
			t.Fatalf("that was %s", name)
		}
	}
}

// TestAgainstReferenceRandom strings together what steps 1 to 3 tell apart.
func TestAgainstReferenceRandom(t *testing.T) {
	const seed = 11
	random := rand.New(rand.NewPCG(seed, 0))
	pieces := append(strings.Fields("running runs ran the THE use used Vectors generously don't o'clock é\u0301 é ß ſ ﬀ 漢 字 か な カナ 한글 글자 ไ ท ย 12 3.5 _ - . , ' : ! ? \u2019 \u0301 \u00ad \u200d \ufeff ☂ ♥"),
		" ", " ", " ", "\n", "\xff", "\xc3", "\x00", "\u3000")
	e := newEncoder(t, 128)
	for range 3000 {
		var text strings.Builder
		for range random.IntN(12) {
			text.WriteString(pieces[random.IntN(len(pieces))])
		}
		if against(t, e, text.String()); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestAgainstReferenceCranfield(t *testing.T) {
	c := cranfield(t)
	e := newEncoder(t, 0)
	for i := 0; i < len(c.Documents); i += 7 {
		against(t, e, c.Documents[i])
	}
}

// TestZeroSum finds a text whose features cancel out, and wants a vector.
func TestZeroSum(t *testing.T) {
	e := newEncoder(t, 64)
	for a := rune(0x2600); a < 0x2700; a++ {
		for b := a + 1; b < 0x2700; b++ {
			x, y := hashed("s"+string(a)), hashed("s"+string(b))
			if x>>58 == y>>58 && x&1 != y&1 {
				against(t, e, string(a)+" "+string(b))
				return
			}
		}
	}
	t.Fatal("no two symbols cancel out")
}

// TestFrozen pins what hash/1 is. If it fails, the floats or the fingerprint
// have changed, and stored collections no longer match: that is a new version
// of the specification, hash/2, beside this one.
func TestFrozen(t *testing.T) {
	const wantBits = "22d79806e146de1db8f8b62266d90bc4a8c7baf413d83ab7283d7d5fac182c05"
	const wantSpace = "af3b512fa278316fccbcd82a4cc3740f1ad7b9a4dbff05c73495652dc346d9d4"
	sum := sha256.New()
	for _, dimension := range []int{64, 512, 4096} {
		v := encode(t, newEncoder(t, dimension), embed.RoleDocument, embedtest.Texts())
		for i := range v.Len() {
			binary.Write(sum, binary.LittleEndian, v.Row(i))
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != wantBits {
		t.Errorf("vectors digest to %s, want %s", got, wantBits)
	}
	if got := newEncoder(t, 0).Space().Weights.String(); got != wantSpace {
		t.Errorf("Space.Weights is %s, want %s", got, wantSpace)
	}
}
