// Package bert embeds texts with transformers of BERT's kind. It loads
// directories in the layouts of Hugging Face's transformers and of
// sentence-transformers:
//
//	DIR/modules.json                        Transformer, Pooling, then any Dense and Normalize
//	DIR/config_sentence_transformers.json   prompts, matryoshka_dims, truncate_dim
//	DIR/config.json                         the architecture
//	DIR/model.safetensors                   or its index and shards; F32, F16, BF16 or F64
//	DIR/tokenizer.json or vocab.txt         any kind that package token reads
//	DIR/sentence_bert_config.json           max_seq_length, do_lower_case
//	DIR/1_Pooling/config.json               cls, mean, max or lasttoken; include_prompt
//	DIR/2_Dense/config.json, model.safetensors
//	DIR/README.md                           the model card: licence and summary
//
// The transformer's own files may lie in the directory that modules.json names.
// A directory without modules.json is pooled by the mean and not normalized, as
// sentence-transformers does.
//
// # Architectures
//
//	bert                             learned positions, norms behind
//	roberta, xlm-roberta, camembert  positions count from behind the padding token's id
//	distilbert                       BERT's layers without token types
//	mpnet                            a bias by distance in attention, shared by the layers
//	nomic_bert                       rotary positions, SwiGLU
//	modernbert                       rotary positions, GeGLU, norms before, windows of attention
//
// Anything else (another architecture, activation, kind of positions, module or
// pooling) is an *UnsupportedError, and a directory whose files contradict each
// other is a *ModelError: Open says it, and nothing is embedded by a guess. No
// file makes the package panic, and what is allocated follows the tensors that
// the weights have, never a number of a configuration.
//
// # The encoder "bert/1"
//
// A text, after its role's prompt, loses white space at both ends, as in
// sentence-transformers, and is tokenized with special tokens and cut to
// MaxTokens of them: the least of max_seq_length (or the tokenizer's
// model_max_length) and the positions that the model has. The states of its
// tokens are pooled. Where a Pooling module has include_prompt false, the
// prompt's tokens and what is before them are left out of mean and max. Then
// come the modules behind; a Matryoshka cut; and scaling to length 1 where the
// last module is Normalize. A text of which no token is left is refused with
// embed.ErrNoTokens; an empty text that has special tokens is embedded.
//
// Prompts are those of config_sentence_transformers.json: "query" for queries;
// "document", "passage" or "corpus" for documents; or the default prompt.
//
// Space.Weights is the SHA-256 over the lines
//
//	settings SHA-256 of what the configurations decide, as JSON (see design)
//	weights  SHA-256 of model.safetensors, or that of package weights over its shards
//	dense    SHA-256 of each Dense module's weights, in order
//
// so that two models of the same weights but other heads, activations or
// positions are two spaces. A model's files may be renamed, its card changed.
//
// # How it runs
//
// Sequences are laid end to end without padding, tokens x hidden, in groups of
// some hundred tokens. Queries, keys and values are one product
// with weights that were packed when the model was loaded; bias, GELU and
// residual are the products' epilogues; attention is computed for each sequence
// and head, a block of queries at a time, so memory is linear in the length of a
// text. Groups run beside each other; a group alone is split by rows and by
// heads. Neither changes a bit of the result, which depends on the text, the
// model and the tier of the kernels only. Memory is reused from call to call:
// Encode allocates by texts and layers, not by tokens.
//
// With precision int8 the weights of the layers are rounded to 8 bits with a
// scale for each output, and their inputs with a scale for each token; attention,
// norms, embeddings and Dense modules stay float32.
package bert
