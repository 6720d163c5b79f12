package hash

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/kljensen/snowball/english"
	"github.com/vecino-db/vecino/compat"
)

// version is the specification that this package follows.
const version = "hash/1"

// The constants of the specification.
const (
	fnvOffset = 0xcbf29ce484222325 // FNV-1a, 64 bits
	fnvPrime  = 0x100000001b3

	unitWeight   = 1024 // W of a term that occurs once
	octaveWeight = 710  // what each doubling of the occurrences adds to W: 1024 ln 2
	commonShift  = 1    // common words weigh a half
	gramShift    = 2    // n-grams weigh a quarter of their term

	gramLength         = 4
	gramLengthSyllabic = 2
	gramCharacters     = 64 // characters of a stem that give n-grams

	stemMinBytes = 3
	stemMaxBytes = 32
)

// The first byte of what is hashed.
const (
	kindWord     = 'w'
	kindUnspaced = 'u'
	kindPair     = 'p'
	kindSymbol   = 's'
	kindGram     = 'c'
)

// specification is the digest over the constants and lists.
func specification() compat.Digest {
	var b strings.Builder
	fmt.Fprintln(&b, version,
		uint64(fnvOffset), uint64(fnvPrime), unitWeight, octaveWeight, commonShift, gramShift,
		gramLength, gramLengthSyllabic, gramCharacters, stemMinBytes, stemMaxBytes,
		kindWord, kindUnspaced, kindPair, kindSymbol, kindGram,
		"NFKD -0300..036F -00AD 2019=0027 fold NFC; UAX29; snowball english; FNV-1a fmix64; L2")
	fmt.Fprintln(&b, "stop", strings.Join(strings.Fields(stopWords), " "))
	fmt.Fprintln(&b, "common", strings.Join(strings.Fields(commonWords), " "))
	return sha256.Sum256([]byte(b.String()))
}

// stopSet and commonStems are the lists as sets. They are never changed.
var (
	stopSet     = setOf(stopWords, func(w string) string { return w })
	commonStems = setOf(commonWords, func(w string) string { return string(stem([]byte(w))) })
)

func setOf(words string, of func(string) string) map[string]struct{} {
	set := map[string]struct{}{}
	for _, w := range strings.Fields(words) {
		set[of(w)] = struct{}{}
	}
	return set
}

// stem is the stem of a folded word, as step 3 of the specification has it.
func stem(word []byte) []byte {
	if len(word) < stemMinBytes || len(word) > stemMaxBytes {
		return word
	}
	for _, c := range word {
		if (c < 'a' || c > 'z') && c != '\'' {
			return word
		}
	}
	return []byte(english.Stem(string(word), true))
}
