package indextest

import (
	"slices"

	"github.com/vecino-db/vecino/index"
)

// sumOffset is where a chunk carries its checksum.
const sumOffset = 80

// Reseal gives a checkpoint another payload in one of its chunks and makes every
// checksum right again, which only malice does. The payload of the head, the
// last chunk, is given without the checksums of the parts.
func Reseal(chunks []index.Chunk, number int, payload []byte) []index.Chunk {
	chunks = slices.Clone(chunks)
	last := len(chunks) - 1
	seal, head := unseal(chunks[last])
	head = slices.Clone(head)
	if number == last {
		head = append(head[:8*last], payload...)
	} else {
		part, _ := unseal(chunks[number])
		chunks[number] = part.Close(payload)
		copy(head[8*number:8*number+8], chunks[number][sumOffset:])
	}
	chunks[last] = seal.Close(head)
	return chunks
}

// Payload is what the engine put into one chunk of a checkpoint; see Reseal.
func Payload(chunks []index.Chunk, number int) []byte {
	_, payload := unseal(chunks[number])
	if number == len(chunks)-1 {
		payload = payload[8*number:]
	}
	return slices.Clone(payload)
}

// unseal opens a chunk that is sound; of another one there is no payload.
func unseal(c index.Chunk) (index.Seal, []byte) {
	seal, payload, _ := index.Unseal(c)
	return seal, payload
}
