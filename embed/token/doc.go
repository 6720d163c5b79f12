// Package token turns texts into the token ids of a model, as the model's own
// tokenizer.json (Hugging Face's tokenizers library) or vocab.txt (BERT) has it.
//
// A text runs through
//
//	added tokens -> normalizer -> added tokens -> pre-tokenizer -> model -> post-processor -> truncation
//
// Added tokens are cut out first where they stand as they are, and after
// normalization where they are declared `normalized`; leftmost and then longest
// wins. The normalizer rewrites what lies between, the pre-tokenizer cuts it
// into pieces, the model turns each piece into tokens, the post-processor puts
// special tokens before and after, and truncation keeps those special tokens.
// Each kind of component is one file: normalizer_*.go, pretokenizer_*.go,
// model_*.go, post_*.go. A component that the package doesn't know is a
// *FormatError that names it; none is skipped. Decoders are not read.
//
// The ids are those of the reference library, with these known exceptions:
//   - an unknown piece in a vocabulary without an unknown token gives no token
//     (the reference fails);
//   - Unicode is that of this Go's tables (and 8.0 where the reference has that,
//     see unicode8.go); characters newer than both may be classified differently;
//   - of texts with more than 30 combining marks on one character, the NFC, NFD,
//     NFKC and NFKD normalizers insert U+034F, as Unicode's stream-safe format
//     (UAX #15, section 13) has it;
//   - patterns are those of package regexp, translated (see pattern.go), which
//     run in linear time; a pattern that it can't express is refused.
//
// Offsets are byte ranges of the original text: the smallest range that all
// bytes of the token come from. What a component inserts has the range of the
// character after it; what replaces a match has that of the match's last
// character; a byte of a character has the range of the character.
//
// A normalizer that would make a text more than 64 times as long, and longer
// than 1 MiB, stops there. Time is linear in the length of the text for a given vocabulary, and so is
// memory. Invalid UTF-8 is read as U+FFFD for each wrong byte.
//
// A Tokenizer is immutable and safe for concurrent use.
package token
