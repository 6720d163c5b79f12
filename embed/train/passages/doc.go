// Package passages cuts documents into pairs of texts that mean about the same:
// what a static model is trained on when nobody has written questions and
// answers (package train).
//
//	a document's title     its description
//	a path of headings     the section below it
//	a first sentence       the rest of the section
//	a middle sentence      the sentences around it
//	a paragraph            the next one
//	the first half         the second half, of a text without structure
//
// A pair's two sides come from different places of one document, so that a
// model learns what belongs together and not what is equal. Sentences end at
// '.', '!' or '?' before white space and a character that may begin a sentence;
// abbreviations of one letter and a short list of others don't end one. A '.' that
// stands alone does.
//
// Everything is deterministic, and linear in the length of the text.
package passages
