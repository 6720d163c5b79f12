// Package static embeds texts with static models: a table of token vectors,
// averaged. It loads directories in the layouts of Model2Vec
// (github.com/MinishLab/model2vec) and of sentence-transformers'
// StaticEmbedding:
//
//	DIR/config.json         model_type "model2vec", normalize, seq_length
//	DIR/model.safetensors   embeddings or embedding.weight [rows, dimension]
//	                        weights [tokens], mapping [tokens] (both optional)
//	DIR/tokenizer.json      any kind that package token reads
//	DIR/modules.json        names of modules, for sentence-transformers
//	DIR/README.md           the model card: licence and summary
//
// In sentence-transformers' layout the two model files may lie in the
// directory of the StaticEmbedding module (0_StaticEmbedding).
//
// The encoder "static/1": a text, after its role's prompt, is tokenized without
// special tokens; unknown tokens are dropped; of what is left the first
// MaxTokens are kept; its vector is
//
//	sum over the tokens t of weights[t] * embeddings[mapping[t]], divided by their number
//
// with weight 1 and mapping[t] = t where the tensors are absent, and is scaled
// to length 1 where the model says normalize (or has a Normalize module).
// Models without Model2Vec's config.json are averaged as sentence-transformers
// does it, with the vector of the unknown token for what they don't know; they
// are the encoder "static-unk/1".
//
// Embeddings of any number type are used as the numbers they are: Model2Vec's
// int8 models have no scale, which normalization makes meaningless anyway. A
// text of no known token, or whose vectors cancel out, is refused with
// embed.ErrNoTokens.
//
// MaxTokens is the model's seq_length unless Options says otherwise. (Model2Vec's
// own encode cuts at 512 tokens when its caller names no limit; that is a
// default of a call, not of a model, so it is not followed. Nor is its cut by
// characters before tokenization, which is a short-cut.)
//
// Sums are float32, so equal texts give equal bits on one machine, and vectors
// agree to about 1e-6 between machines.
package static
