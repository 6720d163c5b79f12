package hash

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"
)

// folder is step 1 of the specification, with its buffers.
type folder struct {
	text, work []byte
	fold       cases.Caser
}

// apply returns the folded text, which is valid until the next call.
func (f *folder) apply(text string) []byte {
	f.text = f.text[:0]
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c >= utf8.RuneSelf {
			f.unicode(text)
			return f.text
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		f.text = append(f.text, c)
	}
	return f.text
}

// unicode is apply for a text that is not all ASCII, where folding is more
// than lower case.
func (f *folder) unicode(text string) {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	f.text = norm.NFKD.AppendString(f.text[:0], text)
	f.work = f.work[:0]
	for i := 0; i < len(f.text); {
		c := f.text[i]
		if c < utf8.RuneSelf {
			f.work = append(f.work, c)
			i++
			continue
		}
		r, size := utf8.DecodeRune(f.text[i:])
		switch {
		case r >= 0x300 && r <= 0x36F || r == 0xAD:
		case r == 0x2019:
			f.work = append(f.work, '\'')
		default:
			f.work = append(f.work, f.text[i:i+size]...)
		}
		i += size
	}
	f.text = f.caseFold(f.text[:0], f.work)
	f.work = norm.NFC.Append(f.work[:0], f.text...)
	f.text, f.work = f.work, f.text
}

// caseFold appends the case folding of src to dst.
func (f *folder) caseFold(dst, src []byte) []byte {
	for {
		if free := cap(dst) - len(dst); free < 64 || free < len(src) {
			dst = append(dst, make([]byte, len(src)+64)...)[:len(dst)]
		}
		n, read, err := f.fold.Transform(dst[len(dst):cap(dst)], src, true)
		dst, src = dst[:len(dst)+n], src[read:]
		if err != transform.ErrShortDst {
			return dst // the only other outcome is nil: every byte was read
		}
	}
}
