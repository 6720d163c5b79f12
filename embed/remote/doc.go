// Package remote encodes texts with a model that another server runs: one that
// speaks OpenAI's /v1/embeddings, Ollama's /api/embed, or the /embed of
// text-embeddings-inference.
//
// # What the space of such a model can promise
//
// A server tells no more of its model than a name, and may put another model
// behind it on any day. So the space's weights digest is the SHA-256 of
//
//	"vecino remote/1" 0x00 kind 0x00 model 0x00 dimension in decimal
//
// which tells names apart, not models: the URL is not part of it, because the
// same model may be reached at several. What tells models apart is Drift: it
// embeds the probes again that were stored when a collection was made, and
// compares. Between two comparisons Options.Witness notices most changes at
// once: a short text goes with each request, and Epoch counts when its vector
// is another than before. Pooling and tokenizer are the server's affair and are stated as
// none. Prompts are ours: they are put before the text here, whatever the
// server does. Every vector is normalized here to length 1.
//
// # What is sent and what is taken
//
// A batch is cut to the limits of the endpoint, and its parts are sent by a
// bounded number of requests at a time over all callers. A request that failed
// for a reason that may pass (no connection, 408, 429, 5xx) is sent again with
// exponential backoff, or after the time that Retry-After names. When several
// requests in a row came to nothing, a circuit breaker refuses more for a
// while at once, then lets a single one try.
//
// A text that is refused fails the batch that it is in, and is looked for by
// sending halves. What the endpoint has made of the others is kept for some
// minutes, so that the batch without the text asks for none of them again.
//
// An answer is read up to a size that follows from what was asked for. It must
// have one vector for each text, each index once, all of the space's
// dimension, and finite numbers in place of every component. Redirects are not
// followed, and addresses are checked as package egress says. The key is sent
// to the endpoint alone, and appears in no error or log.
//
// # Tokens
//
// MaxTokens of the space is 0: what a server truncates it doesn't say. So a
// text that is too long is an error, *embed.TextError with the server's words,
// where the server can be told not to truncate (Ollama,
// text-embeddings-inference; OpenAI never does), unless Options.Truncate asks
// for it. Numbers of tokens come from text-embeddings-inference's /tokenize
// where it is offered; otherwise they are an estimate: a quarter of a token for
// an ASCII character, a whole one for any other.
package remote
