package hnsw

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// texts makes vectors as a lexical encoder does: every word has a sign and a
// place. The first own of them are about 60 words each of some thousands; the
// foreign ones use the same forty words all the time, and one that nobody else
// has.
func texts(seed uint64, own, foreign, dim int) []float32 {
	r := rand.New(rand.NewPCG(seed, 0))
	word := func(row []float32, number uint64) {
		h := rand.New(rand.NewPCG(number, 1)).Uint64()
		row[h>>1%uint64(dim)] += 1 - 2*float32(h&1)
	}
	rows := make([]float32, (own+foreign)*dim)
	for i := range own + foreign {
		row := rows[i*dim : (i+1)*dim]
		if i < own {
			for range 60 {
				// A few words stand in most of the texts.
				word(row, uint64(3000*r.Float64()*r.Float64()*r.Float64()))
			}
			continue
		}
		for range 24 {
			word(row, 1_000_000+r.Uint64N(40))
		}
		word(row, 2_000_000+uint64(i))
	}
	return rows
}

// missing counts the vectors from..to, step apart, that a search for them does
// not find first.
func missing(t *testing.T, g *Graph, stamp func(row []float32) compat.Vectors, rows []float32, from, to, step int) (missed, asked int) {
	t.Helper()
	dim := g.cfg.Dimension
	for i := from; i < to; i += step {
		a, err := g.Search(context.Background(), index.Query{Vector: stamp(rows[i*dim : (i+1)*dim]), K: 10, Ef: 100})
		if err != nil {
			t.Fatal(err)
		}
		asked++
		if len(a.Hits) == 0 || a.Hits[0].Score < 0.999 {
			missed++
		}
	}
	return missed, asked
}

// TestASmallGroupAmongForeign: what was inserted before a large group of another
// kind, or behind it, is found, and so is the large group, also in a graph that
// was loaded. Without seeds a quarter of the small group is missed.
func TestASmallGroupAmongForeign(t *testing.T) {
	skipRace(t)
	const seed, dim, own, foreign = 11, 256, 700, 9000
	t.Logf("seed %d", seed)
	for _, encoding := range append([]compat.Encoding{compat.EncodingF32}, coded...) {
		g, space := newEncoded(t, encoding, dim, compat.MetricCosine)
		rows := texts(seed, own, foreign, dim)
		const late = own * 6 / 7 // the rest of the small group comes last
		insert(t, g, space, 0, rows[:late*dim])
		insert(t, g, space, own, rows[own*dim:])
		loaded, err := Load(space.Config, saveAll(t, g))
		if err != nil {
			t.Fatal(err)
		}
		few := func(g *Graph, what string, from, to, step int) {
			stamp := func(row []float32) compat.Vectors { return space.Stamp(t, row) }
			if missed, asked := missing(t, g, stamp, rows, from, to, step); missed > asked/50 {
				t.Errorf("%s: of the %s group %d of %d are missed", encoding, what, missed, asked)
			}
		}
		few(g, "small", 0, late, 1)
		few(loaded, "loaded small", 0, late, 1)
		few(g, "large", own, own+foreign, 10)
		insert(t, g, space, late, rows[late*dim:own*dim])
		few(g, "late", late, own, 1)
	}
}
