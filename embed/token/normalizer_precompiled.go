package token

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"unicode/utf8"

	"github.com/clipperhouse/uax29/v2/graphemes"
)

// precompiled is sentencepiece's character map: a double array (in the layout
// of darts-clone) from byte strings to offsets of NUL-ended replacements.
//
//	+---------------+------------------------+--------------------------+
//	| uint32 nbytes | nbytes / 4 units uint32| replacements, NUL-ended  |
//	+---------------+------------------------+--------------------------+
//
// As in the reference, a grapheme cluster of less than 6 bytes is looked up
// first, then each of its characters, and the shortest prefix that the map
// knows decides for the whole.
type precompiled struct {
	units        []uint32
	replacements []byte
	ascii        [utf8.RuneSelf]answer
}

// answer is what becomes of a text: itself, or a replacement.
type answer struct {
	replaced bool
	by       string
}

func newPrecompiled(f *fields) (normalizer, error) {
	var encoded string
	f.need("precompiled_charsmap", &encoded)
	if f.err != nil {
		return nil, f.err
	}
	at := f.at + ".precompiled_charsmap"
	blob, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, bad(at, "it is no base64: %v", err)
	}
	if len(blob) < 8 {
		return nil, bad(at, "%d bytes are too few", len(blob))
	}
	size := uint64(binary.LittleEndian.Uint32(blob))
	if size > uint64(len(blob)-4) || size < 4 {
		return nil, bad(at, "its trie claims %d of %d bytes", size, len(blob)-4)
	}
	p := &precompiled{units: make([]uint32, size/4), replacements: blob[4+size/4*4:]}
	if !utf8.Valid(p.replacements) {
		return nil, bad(at, "its replacements are not UTF-8")
	}
	for i := range p.units {
		p.units[i] = binary.LittleEndian.Uint32(blob[4+4*i:])
	}
	for c := range p.ascii {
		p.ascii[c] = p.look([]byte{byte(c)})
	}
	return p, nil
}

// look is the replacement of the shortest prefix of key that has one. Units
// that lead out of the array end the search.
func (p *precompiled) look(key []byte) answer {
	offset := func(u uint32) uint32 { return (u >> 10) << ((u & (1 << 9)) >> 6) }
	at := offset(p.units[0])
	for _, c := range key {
		at ^= uint32(c)
		if c == 0 || uint64(at) >= uint64(len(p.units)) {
			break
		}
		u := p.units[at]
		if u&(1<<31|0xFF) != uint32(c) {
			break
		}
		at ^= offset(u)
		if uint64(at) >= uint64(len(p.units)) {
			break
		}
		if u>>8&1 == 0 {
			continue // no prefix ends here
		}
		from := p.units[at] & (1<<31 - 1)
		if uint64(from) > uint64(len(p.replacements)) {
			break
		}
		by := p.replacements[from:]
		if end := bytes.IndexByte(by, 0); end >= 0 {
			by = by[:end]
		}
		if !utf8.Valid(by) {
			break
		}
		return answer{true, string(by)}
	}
	return answer{}
}

func (p *precompiled) normalize(t *text) {
	i, kept := 0, 0
	changed := false
	apply := func(from, to int, a answer) {
		if !a.replaced {
			return
		}
		if !changed {
			changed = true
			t.begin()
		}
		t.keep(kept, from)
		t.put(from, to, a.by)
		kept = to
	}
	b := t.b
	for i < len(b) {
		// Between two ASCII characters there is always a boundary, except in
		// "\r\n"; so clusters are looked for only around others.
		if c := b[i]; c < utf8.RuneSelf && (i+1 == len(b) || b[i+1] < utf8.RuneSelf && c != '\r') {
			if p.ascii[c].replaced {
				apply(i, i+1, p.ascii[c])
			}
			i++
			continue
		}
		end := i + 1
		for end < len(b) && !(b[end-1] < utf8.RuneSelf && b[end] < utf8.RuneSelf && b[end-1] != '\r') {
			end++
		}
		for clusters := graphemes.FromBytes(b[i:end]); clusters.Next(); {
			cluster := clusters.Value()
			p.cluster(cluster, i, apply)
			i += len(cluster)
		}
		i = end
	}
	if changed {
		t.keep(kept, len(b))
		t.commit()
	}
}

// cluster looks one cluster up, whole or by characters.
func (p *precompiled) cluster(cluster []byte, at int, apply func(from, to int, a answer)) {
	const wholeBelow = 6 // bytes
	if len(cluster) < wholeBelow {
		if a := p.look(cluster); a.replaced {
			apply(at, at+len(cluster), a)
			return
		}
	}
	for len(cluster) > 0 {
		_, n := utf8.DecodeRune(cluster)
		apply(at, at+n, p.look(cluster[:n]))
		cluster, at = cluster[n:], at+n
	}
}
