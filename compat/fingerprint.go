package compat

import "crypto/sha256"

// What is hashed opens with one of these, so that the two kinds of fingerprint
// never agree and a later definition can have a name of its own.
const (
	fingerprintDomain       = "vecino space 1\n"
	storedFingerprintDomain = "vecino stored space 1\n"
)

// Fingerprint is the identity of the space: two texts may be compared by their
// vectors only when their spaces have equal fingerprints. The zero Space has
// the zero Fingerprint, which matches nothing.
func (s Space) Fingerprint() Fingerprint {
	return s.hash(fingerprintDomain, true)
}

// StoredFingerprint is the identity of what stored vectors depend on: the
// space without its query prompt. A new query prompt leaves stored vectors,
// graphs and cached document embeddings true. It never equals a Fingerprint.
func (s Space) StoredFingerprint() Fingerprint {
	return s.hash(storedFingerprintDomain, false)
}

func (s Space) hash(domain string, queryPrompt bool) Fingerprint {
	if s == (Space{}) {
		return Fingerprint{}
	}
	b := make([]byte, 0, 512)
	b = append(b, domain...)
	for _, f := range spaceFields {
		if queryPrompt || f.name != queryPromptField {
			b = appendField(b, f, &s)
		}
	}
	return sha256.Sum256(b)
}

// Raw reports whether the vectors of the space are brought by clients: there
// is no encoder that could make them from texts.
func (s Space) Raw() bool { return len(s.Encoder) >= 4 && s.Encoder[:4] == "raw/" }
