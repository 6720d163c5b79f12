package compat

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"
)

// What sample() hashed to when the format was fixed.
const (
	goldenFingerprint       = "2fea4c80331c7d740c226f39ab7421a76e198eeef73e6d0ca638f018fb8caa1d"
	goldenStoredFingerprint = "d9404f43e98fd73f6de999da9fd89e96202c82fc005c5e60a068f96e430dfe02"
)

func TestEveryFieldOfTheSpaceCounts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := drawSpace(rt)
		for _, l := range manifestLeaves() {
			before, after := sample(), sample()
			before.Space, after.Space = s, s
			alter(t, l.set(&after))
			ofSpace := after.Space != before.Space
			changed := before.Space.Fingerprint() != after.Space.Fingerprint()
			if ofSpace != changed {
				rt.Fatalf("altering %s: in the space %v, fingerprint changed %v", l.name, ofSpace, changed)
			}
			changed = before.Space.StoredFingerprint() != after.Space.StoredFingerprint()
			if stored := ofSpace && l.name != "space.query_prompt"; stored != changed {
				rt.Fatalf("altering %s: decides stored vectors %v, stored fingerprint changed %v", l.name, stored, changed)
			}
		}
		if s != (Space{}) && s.Fingerprint() == s.StoredFingerprint() {
			rt.Fatalf("both fingerprints are %v", s.Fingerprint())
		}
	})
}

// TestFingerprintByHand hashes bytes written from the package's comment.
func TestFingerprintByHand(t *testing.T) {
	s := sample().Space
	number := func(n int) string { return string(binary.LittleEndian.AppendUint64(nil, uint64(n))) }
	record := func(queryPrompt bool) string {
		r := rawField("encoder", 't', s.Encoder) +
			rawField("weights", 'd', string(s.Weights[:])) +
			rawField("tokenizer", 'd', string(s.Tokenizer[:])) +
			rawField("pooling", 't', string(s.Pooling))
		if queryPrompt {
			r += rawField("query_prompt", 't', s.QueryPrompt)
		}
		return r + rawField("document_prompt", 't', s.DocumentPrompt) +
			rawField("max_tokens", 'i', number(s.MaxTokens)) +
			rawField("normalization", 't', string(s.Normalization)) +
			rawField("precision", 't', string(s.Precision)) +
			rawField("dimension", 'i', number(s.Dimension)) +
			rawField("full_dimension", 'i', number(s.FullDimension))
	}
	if want := Fingerprint(sha256.Sum256([]byte("vecino space 1\n" + record(true)))); s.Fingerprint() != want {
		t.Errorf("fingerprint %v, by hand %v", s.Fingerprint(), want)
	}
	if want := Fingerprint(sha256.Sum256([]byte("vecino stored space 1\n" + record(false)))); s.StoredFingerprint() != want {
		t.Errorf("stored fingerprint %v, by hand %v", s.StoredFingerprint(), want)
	}
}

func TestZeroFingerprintMatchesNothing(t *testing.T) {
	zero, real := Fingerprint{}, sample().Space.Fingerprint()
	if zero.Matches(zero) || zero.Matches(real) || real.Matches(zero) {
		t.Error("the zero fingerprint matches")
	}
	if !real.Matches(real) {
		t.Error("a fingerprint does not match itself")
	}
	if f := (Space{}).Fingerprint(); !f.IsZero() {
		t.Errorf("the zero space has the fingerprint %v", f)
	}
	if f := (Space{}).StoredFingerprint(); !f.IsZero() {
		t.Errorf("the zero space has the stored fingerprint %v", f)
	}
}

func TestFingerprintText(t *testing.T) {
	f := sample().Space.Fingerprint()
	text, _ := f.MarshalText()
	var back Fingerprint
	if err := back.UnmarshalText(text); err != nil || back != f {
		t.Errorf("%s reads back as %v, %v", text, back, err)
	}
	for _, bad := range []string{"", "00", string(text) + "0", string(text) + "00", "zz" + string(text[2:])} {
		if err := back.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q passes for a fingerprint", bad)
		}
	}
	d := Digest{1}
	text, _ = d.MarshalText()
	var read Digest
	if err := read.UnmarshalText(text); err != nil || read != d {
		t.Errorf("%s reads back as %v, %v", text, read, err)
	}
	if err := read.UnmarshalText([]byte("none")); err != nil || read != (Digest{}) {
		t.Errorf("none reads as %v, %v", read, err)
	}
}

func BenchmarkFingerprint(b *testing.B) {
	s := sample().Space
	for b.Loop() {
		s.Fingerprint()
	}
}
