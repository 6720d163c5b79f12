// Package api is the service behind every transport: text in, hits out.
//
// A Service owns an open store and the encoders of its collections. It turns
// texts into vectors of the right space, hands them through the store's gate,
// and says in typed errors what it refuses. It knows no HTTP.
//
// # Which encoder a collection has
//
// A collection is created with a model ("builtin:blend", "local:NAME", or
// "openai:NAME", "ollama:NAME", "tei:NAME" as the operator configured them) or
// with vectors alone. With a model, the encoder is opened again at each start from
// the name and options in the manifest, and must be what the manifest says:
// its space must pass the store's gate, and the probes stored at creation must
// come out the same. Where it isn't (the model's directory is gone, its files
// were changed), the collection stays listed and readable, queries by vector
// and by id still work, and every call that would encode a text fails with the
// reason and the remedy. The service never goes on with another encoder.
//
// A collection made with vectors alone is unverified: nothing can tell which
// model its vectors come from, so its space carries a random digest and equals
// no other, whatever its dimension. Texts can't be searched in it. It leaves that
// space by proof alone: Adopt embeds texts of it again, drawn at random.
//
// A model behind an endpoint is known by its name alone, so its probes are
// embedded again at the start and then regularly. While another model answers,
// the collection takes no texts and no writes; while none answers, it goes on
// if the model was proved since the start, and takes no texts if not. What the
// cache keeps of such a model is kept apart by the probes.
//
// # What an encoding goes through
//
//	cache -> queue -> encoder
//
// Every encoder has a queue of its own (embed.Scheduler): queries before
// documents, requests put together into batches, a caller that left dropped,
// and what would wait too long refused with KindOverloaded. The cache
// (store.EmbeddingCache) stands before transformers and remote models only:
// the others are as fast as it is.
//
// # Errors
//
// Errors are *Error where the service itself refuses, and otherwise those of
// the packages below: *compat.MismatchError, *compat.VectorError,
// *compat.ProbeError, *filter.Error and the store's sentinels. Nothing is
// applied when an error is returned.
package api
