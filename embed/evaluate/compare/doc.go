// Package compare puts two runs over the same queries side by side: what the
// serving generation of a collection answered, and what another one did. It is
// pure logic over rankings and scores: it searches nothing and reads nothing.
// Everything in it is safe for concurrent use as long as nobody writes to a
// value that another reads.
//
// # Without judgements
//
// For one query, with S and T the two rankings, S@d the set of the first d ids
// of S, and equal ids of one ranking counted once, at their first rank:
//
//	overlap@k  |S@k ∩ T@k| / max(|S@k|, |T@k|); 1 where both are empty
//	RBO        rank-biased overlap, extrapolated (Webber, Moffat and Zobel 2010,
//	           "A similarity measure for indefinite rankings", equation 32), over
//	           the whole of both rankings, with persistence p = 0.9: the first
//	           ten ranks carry 86 % of the weight. 1 is the same order, 0 nothing
//	           in common; 1 where both are empty, 0 where one is
//	tau        Kendall's rank correlation (Kendall 1938) of the ids that are in
//	           both rankings: (concordant - discordant) / all pairs. It says
//	           nothing of ids that only one has, and there is none for fewer
//	           than two shared ids
//
// Agreement has the means over queries. The most changed queries are those of
// least RBO.
//
// # With judgements
//
// nDCG@10, recall@100 and MRR@10 of both runs and of their difference, with the
// intervals of package evaluate.
//
// # Score thresholds
//
// Scores of two models can't be compared: 0.5 may be near in one space and far
// in the other. A ThresholdMap gives for a threshold of the old space the one
// of the new space that lets pass the same share of hits. The share of a
// threshold is
//
//	hits with a score at least as near as the threshold / all hits
//
// over the first Depth hits of each of the sampled queries; nearer is greater
// under cosine and dot, and less under L2. With F and G the shares of old and
// new scores as functions of a threshold, the map is G^-1(F(t)): quantile to
// quantile, kept at 201 equally spaced quantiles of the old scores (nearest,
// ..., least near), smoothed by lines through a share of n^(-1/3) of the hits to
// either side for n queries, and linear between them. It is monotone: a stricter
// threshold never becomes a looser one. Beyond the nearest and the least near
// score that was sampled it goes on with the slope of the line from the first
// to the last quantile, and says so.
//
// What it promises is about queries like those of the sample: the share over all
// of them, not of each one, and of hits among the first Depth. The sample decides
// how well it is kept: the scores of one query are alike, so that queries count
// and not hits. Between builtin:hash and a Model2Vec model, whose scores have
// little to do with each other, the worst of nine thresholds was off by 0.060 of
// the hits with maps made of 125 sentences of Cranfield, by 0.038 with 500 and by
// 0.032 with 2,000, on 4,000 others (means over all samples there are); between
// builtin:hash and builtin:blend by 0.029, 0.018 and 0.015. Without the smoothing
// it is a tenth to a fifth more of few queries.
//
// What people ask is not what documents say: 2,000 sentences made a map that was
// off by 0.26 and by 0.044 on Cranfield's 225 queries; half of these queries by
// 0.089 and 0.047 on the other half, of which more than half is the luck of which
// query is in which half: the map of all of them was off by 0.050 and 0.029 there.
// So: sample what people ask, some hundreds of it. CrossCheck measures it.
package compare
