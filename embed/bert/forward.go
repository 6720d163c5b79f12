package bert

import (
	"context"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/kernels/f32"
)

// portionOf is how much goes through the network at once, in tokens: sequences
// run together until they have that many, and longer ones are cut into that many
// rows between attentions. Weights are read once for each portion, but what lies
// between products wants to stay in the cache. Both were measured, on a model of
// MiniLM's shape; weights of 8 bits are cheap to read again.
func portionOf(p compat.Precision) int {
	if p == compat.PrecisionInt8 {
		return 384
	}
	return 768
}

// pieceRows is the rows between two pauses, where there are any: two milliseconds
// of a layer of MiniLM's shape, for 2 % of the speed.
const pieceRows = 64

// forward computes the states of the arena's tokens, tokens x hidden, into
// a.states. Between layers it looks at ctx, whose error it returns.
func (n *network) forward(ctx context.Context, a *arena, workers int) error {
	tokens := len(a.ids)
	grow(&a.rows, tokens)
	grow(&a.states, tokens*n.Hidden)
	grow(&a.middle, tokens*n.Hidden)
	grow(&a.qkv, 3*tokens*n.Hidden)
	grow(&a.mixed, tokens*n.Hidden)
	for len(a.lanes) < workers {
		a.lanes = append(a.lanes, lane{})
	}
	longest := n.placeTokens(a)
	n.prepareAngles(a, longest)
	if n.relative != nil {
		n.relative.fill(a, longest)
	}

	chunk := n.portion
	if embed.Pauses(ctx) {
		chunk = min(chunk, pieceRows)
	}
	if workers > 1 {
		chunk = min(chunk, max(16, (tokens+workers-1)/workers))
	}
	chunks := (tokens + chunk - 1) / chunk
	// Products are by rows, attention by sequences and heads: what lies between
	// two attentions is done for some rows at a time.
	each := func(f func(l *lane, from, to int)) {
		parallel(ctx, workers, chunks, func(worker, i int) {
			f(&a.lanes[worker], i*chunk, min(tokens, (i+1)*chunk))
		})
	}
	each(func(l *lane, from, to int) {
		n.embed(a, from, to)
		n.attentionInput(a, l, &n.layers[0], from, to)
	})
	for i := range n.layers {
		at := &n.layers[i]
		parallel(ctx, workers, a.len()*n.Heads, func(worker, task int) {
			n.attend(a, &a.lanes[worker], at, task/n.Heads, task%n.Heads)
		})
		each(func(l *lane, from, to int) {
			n.finish(a, l, at, from, to)
			if i+1 < len(n.layers) {
				n.attentionInput(a, l, &n.layers[i+1], from, to)
				return
			}
			n.last.apply(a.states[from*n.Hidden:to*n.Hidden], n.Eps)
		})
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// placeTokens says for each token which row of positions is its, and returns the
// length of the longest sequence.
func (n *network) placeTokens(a *arena) (longest int) {
	for s := range a.len() {
		from, to := a.span(s)
		longest = max(longest, to-from)
		if n.PadID < 0 {
			for i := from; i < to; i++ {
				a.rows[i] = int32(i - from)
			}
			continue
		}
		next := n.PadID
		for i := from; i < to; i++ {
			if int(a.ids[i]) == n.PadID {
				a.rows[i] = int32(n.PadID) // a text can spell it; it takes no position
				continue
			}
			next++
			a.rows[i] = int32(next)
		}
	}
	return longest
}

// embed sets the states to the normalized embeddings.
func (n *network) embed(a *arena, from, to int) {
	h := n.Hidden
	for i := from; i < to; i++ {
		state, word := a.states[i*h:(i+1)*h], int(a.ids[i])*h
		copy(state, n.word[word:word+h])
		switch {
		case n.LearnedPositions:
			row := int(a.rows[i]) * h
			f32.Add(state, n.place[row:row+h])
		case n.place != nil:
			f32.Add(state, n.place)
		}
	}
	n.start.apply(a.states[from*h:to*h], n.Eps)
}

// attentionInput computes queries, keys and values of some rows.
func (n *network) attentionInput(a *arena, l *lane, at *layer, from, to int) {
	h := n.Hidden
	input := a.states[from*h : to*h]
	if n.PreNorm {
		input = n.normalized(l, &at.attentionNorm, input)
	}
	at.qkv.mul(a.qkv[3*from*h:3*to*h], 3*h, input, h, to-from, false, nil, &l.quantized)
	if at.theta != 0 {
		n.rotate(a, at, from, to)
	}
}

// finish takes some rows from what attention gave to the layer's result, which
// becomes the states.
func (n *network) finish(a *arena, l *lane, at *layer, from, to int) {
	h, rows := n.Hidden, to-from
	states, middle := a.states[from*h:to*h], a.middle[from*h:to*h]
	at.out.mul(middle, h, a.mixed[from*h:to*h], h, rows, false, states, &l.quantized)
	input := middle
	if n.PreNorm {
		input = n.normalized(l, &at.innerNorm, middle)
	} else {
		at.attentionNorm.apply(middle, n.Eps)
	}
	inner := grow(&l.inner, rows*n.Inner)
	at.up.mul(inner, n.Inner, input, h, rows, n.Activation == gelu, nil, &l.quantized)
	n.Activation.apply(inner)
	if at.gate.exists() {
		gate := grow(&l.gate, rows*n.Inner)
		at.gate.mul(gate, n.Inner, input, h, rows, false, nil, &l.quantized)
		f32.Mul(inner, gate)
	}
	at.down.mul(states, h, inner, n.Inner, rows, false, middle, &l.quantized)
	if !n.PreNorm {
		at.innerNorm.apply(states, n.Eps)
	}
}

// normalized is a normalized copy of rows.
func (n *network) normalized(l *lane, by *norm, rows []float32) []float32 {
	if by.gamma == nil {
		return rows
	}
	copied := grow(&l.normed, len(rows))
	copy(copied, rows)
	by.apply(copied, n.Eps)
	return copied
}
