// Package train makes static models: tables of token vectors whose mean is the
// vector of a text (package static). It trains them by contrast on pairs of
// texts that mean about the same, from nothing or from another table.
//
//	vocabulary   Counter.BuildVocabulary, TokenizerFile
//	pairs        Set.Add, or package passages for pairs out of documents
//	model        Fresh, or the rows of a model that is there
//	training     Run
//	result       Measure, Pack, Files.Write
//
// # Training
//
// A step takes a batch of pairs of one source. Each text's vector is the sum of
// its tokens' rows; the loss is the symmetric InfoNCE of the cosines (van den
// Oord et al. 2018; Radford et al. 2021): for each query the softmax over all
// documents of the batch, and for each document that over all queries. It is
// averaged over nested leading dimensions (Kusupati et al. 2022, Matryoshka), so
// that vectors may be cut to those. Adam moves the rows that the batch's tokens
// have, and no other (file adam.go); the rate rises, then falls to zero.
//
// Batches of one source make a document's rivals alike, so that telling them
// apart teaches more than the topic.
//
// # Promises
//
// The same set, model and Options give the same bits on one kind of processor
// with any number of threads: sums are made in blocks whose order is fixed.
// Gradients agree with those of float64 to about 2e-5 of the greatest.
// A training that was interrupted goes on from its checkpoint to the same end.
// Memory, beside the set's (4 bytes a token), is stated at Run.
//
// A Model is in nobody else's use while Run has it. Sets may be shared once they
// are complete.
package train
