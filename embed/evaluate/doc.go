// Package evaluate measures how well an encoder does what it is for: finding
// judged documents, and agreeing with people on how alike two sentences are.
//
// # Measures
//
// For one query, with gains g(d) > 0 of its judged documents and the ranked
// documents d1, d2, ...:
//
//	DCG@k      sum over i = 1..k of g(di) / log2(i + 1)       (Järvelin and Kekäläinen 2002)
//	nDCG@k     DCG@k / DCG@k of the best order there is
//	recall@k   judged documents among the first k / judged documents
//	RR@k       1 / rank of the first judged document among the first k; 0: none
//
// A collection's measures are the means over its queries. A query without a
// judged document counts 0 in each. Documents rank by cosine, computed exactly;
// equal ones in the order of the collection.
//
// Spearman is the rank correlation of people's scores with cosines, equal
// values at the mean of their ranks.
//
// # Collections
//
// SMART (as Cranfield comes): documents and queries in records
//
//	.I 1
//	.T
//	title
//	.W
//	text
//
// and judgements "query document grade" a line, whose queries are counted from
// 1 in the order of their file, whatever .I says. Grades 1..4 are best to worst
// and gain 4..1; others gain 1.
//
// BEIR (Thakur et al. 2021): corpus.jsonl {"_id","title","text"}, queries.jsonl
// {"_id","text"}, and judgements "query-id corpus-id score" separated by tabs
// under a line of titles. The score is the gain; 0 and less is no judgement.
//
// # Judged queries
//
// Where the documents are stored elsewhere, queries and judgements come alone:
// as BEIR's queries.jsonl and qrels, or as JSON lines, one object a query,
//
//	{"id":"q1","text":"how long does rye bread keep","relevant":{"doc-7":2,"doc-9":1}}
//
// with the id of the query (a string or an unsigned integer), its text, and the
// gain of each document that is relevant, 0 to 1000; 0 says that a document was
// judged and is not relevant. ReadJudged is strict and names the line.
//
// Check warns of judgements that mislead: of missing documents, without
// relevant documents, of fewer than 50 queries, of queries that are nearly a
// document's text, of queries given twice. Leakage looks for the texts of a
// test among those that a model was trained on. Two texts are near-duplicates
// when 80 % of the word triples of the one that has fewer are in the other, and
// it has a quarter of the other's at least where it is the training text.
//
// # Intervals
//
// A mean over queries is one draw: other queries would give another mean.
// Bootstrap.Interval is the bias-corrected and accelerated interval of Efron
// 1987 from 10,000 resamples of the queries; Bootstrap.Paired that of the
// difference of two runs over the same queries, resampled in pairs, with the
// p of the randomisation test. Both are decided by the seed.
package evaluate
