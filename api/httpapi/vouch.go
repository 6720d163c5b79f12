package httpapi

import (
	"fmt"
	"net/http"

	"github.com/vecino-db/vecino/compat"
)

// vouched wants the request to say of which space the vectors are that it
// brings into a collection with a model, or asks by: any vector of the right
// dimension would be taken otherwise, and nothing could tell later. That the
// header names the collection's space was checked with the preconditions. In a
// collection of raw vectors there is nothing to be compared with. The space is
// that of this moment: the vectors are of it, whatever serves when they are
// used.
func vouched(c *call, pointer string) (space compat.Fingerprint, err error) {
	if text := c.request.Header.Get(headerFingerprint); text != "" {
		return space, space.UnmarshalText([]byte(text))
	}
	m := c.collection.Manifest()
	if m.Space.Raw() {
		return m.Space.Fingerprint(), nil
	}
	have, name := m.Space.Fingerprint().String(), c.collection.Name()
	return space, &requestError{
		status: http.StatusConflict, code: "fingerprint_required", pointer: pointer, expected: have,
		detail: fmt.Sprintf("collection %q has the model %q, and the request brings a vector without saying which model made it", name, m.Provenance.Model),
		remedy: fmt.Sprintf("send texts, or, only if that model made the vectors, the header %s: %s; answers of POST /v1/embeddings carry the header of their vectors, and GET /collections/%s/manifest gives the collection's", headerFingerprint, have, name),
	}
}
