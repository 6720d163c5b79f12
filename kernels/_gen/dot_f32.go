package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// step adds what one vector of x and one of y give to the accumulators. y may be
// a memory operand or a register.
type step func(g *amd64, x reg.VecVirtual, y operand.Op, acc []reg.VecVirtual)

func dotStep(g *amd64, x reg.VecVirtual, y operand.Op, acc []reg.VecVirtual) {
	g.VFMADD231PS(y, x, acc[0])
}

func squaredL2Step(g *amd64, x reg.VecVirtual, y operand.Op, acc []reg.VecVirtual) {
	d := g.vec()
	g.VSUBPS(y, x, d)
	g.VFMADD231PS(d, d, acc[0])
}

func dotNormsStep(g *amd64, x reg.VecVirtual, y operand.Op, acc []reg.VecVirtual) {
	v, ok := y.(reg.VecVirtual)
	if !ok {
		v = g.vec()
		g.VMOVUPS(y, v)
	}
	g.VFMADD231PS(v, x, acc[0])
	g.VFMADD231PS(x, x, acc[1])
	g.VFMADD231PS(v, v, acc[2])
}

// f32Reductions writes f32/dot_amd64.s.
func f32Reductions(g *amd64) {
	g.maskTable()
	for _, g.bits = range []int{256, 512} {
		f32Pair(g, "dot", "(ret float32)", "returns the inner product of n floats at a and b.", 1, 4, dotStep)
		f32Pair(g, "squaredL2", "(ret float32)", "returns the squared distance of n floats at a and b.", 1, 4, squaredL2Step)
		f32Pair(g, "dotNorms", "(ab, aa, bb float32)", "returns a.b, a.a and b.b of n floats at a and b.", 3, 2, dotNormsStep)
		f32Scale(g)
		f32Rows(g, "dotRows", "sets dst[i] to q.row(rows[i]) for i < n; n is a positive multiple of 4, dim is positive.", dotStep)
		f32Rows(g, "squaredL2Rows", "sets dst[i] to |q-row(rows[i])|^2 for i < n; n is a positive multiple of 4, dim is positive.", squaredL2Step)
	}
}

// f32Pair writes a kernel that reduces two vectors to a few sums: unroll vectors
// at a time, each with accumulators of its own, then one by one, then the tail
// under a mask.
func f32Pair(g *amd64, name, results, doc string, sums, unroll int, do step) {
	name += g.tier()
	g.fn(name, "func(a, b *float32, n int) "+results, doc)
	a, b, n := g.load("a"), g.load("b"), g.load("n")
	w := g.width()
	lanes := w / 4
	acc := g.zeros(sums * unroll)

	g.SUBQ(operand.Imm(uint64(lanes*unroll)), n)
	g.JLT(operand.LabelRef("singles"))
	g.Label("blocks")
	for u := range unroll {
		x := g.vec()
		g.VMOVUPS(mem(a, u*w), x)
		do(g, x, mem(b, u*w), acc[u*sums:(u+1)*sums])
	}
	g.ADDQ(operand.U32(uint64(w*unroll)), a)
	g.ADDQ(operand.U32(uint64(w*unroll)), b)
	g.SUBQ(operand.Imm(uint64(lanes*unroll)), n)
	g.JGE(operand.LabelRef("blocks"))

	g.Label("singles")
	g.ADDQ(operand.Imm(uint64(lanes*unroll)), n)
	g.JZ(operand.LabelRef("reduce"))
	g.SUBQ(operand.Imm(uint64(lanes)), n)
	g.JLT(operand.LabelRef("tail"))
	g.Label("single")
	x := g.vec()
	g.VMOVUPS(mem(a, 0), x)
	do(g, x, mem(b, 0), acc[:sums])
	g.ADDQ(operand.Imm(uint64(w)), a)
	g.ADDQ(operand.Imm(uint64(w)), b)
	g.SUBQ(operand.Imm(uint64(lanes)), n)
	g.JGE(operand.LabelRef("single"))

	g.Label("tail")
	g.ADDQ(operand.Imm(uint64(lanes)), n)
	g.JZ(operand.LabelRef("reduce"))
	mask := g.mask(n)
	do(g, g.loadMasked(mem(a, 0), mask), g.loadMasked(mem(b, 0), mask), acc[:sums])

	g.Label("reduce")
	for s := range sums {
		// A tree, so that no chain is longer than it must be.
		for half := unroll / 2; half > 0; half /= 2 {
			for u := range half {
				g.VADDPS(acc[(u+half)*sums+s], acc[u*sums+s], acc[u*sums+s])
			}
		}
		g.result(s, g.sumLanes(acc[s], false))
	}
	g.ret()
}

// f32Scale writes v *= s.
func f32Scale(g *amd64) {
	g.fn("scale"+g.tier(), "func(v *float32, n int, s float32)", "multiplies n floats at v by s.")
	v, n := g.load("v"), g.load("n")
	s := g.vec()
	g.VBROADCASTSS(g.addr("s"), s)
	w := g.width()
	lanes := w / 4
	g.SUBQ(operand.Imm(uint64(lanes)), n)
	g.JLT(operand.LabelRef("tail"))
	g.Label("loop")
	x := g.vec()
	g.VMULPS(mem(v, 0), s, x)
	g.VMOVUPS(x, mem(v, 0))
	g.ADDQ(operand.Imm(uint64(w)), v)
	g.SUBQ(operand.Imm(uint64(lanes)), n)
	g.JGE(operand.LabelRef("loop"))
	g.Label("tail")
	g.ADDQ(operand.Imm(uint64(lanes)), n)
	g.JZ(operand.LabelRef("done"))
	mask := g.mask(n)
	t := g.loadMasked(mem(v, 0), mask)
	g.VMULPS(t, s, t)
	g.storeMasked(t, mem(v, 0), mask)
	g.Label("done")
	g.ret()
}

// f32Rows writes a kernel over four rows at a time, two vectors a step with
// accumulators of their own.
func f32Rows(g *amd64, name, doc string, do step) {
	w := g.width()
	var mask laneMask
	rows{
		name:      name + g.tier(),
		signature: "func(dst, q, slab *float32, rows *uint32, dim, n int)",
		doc:       doc,
		elem:      4,
		width:     w,
		unroll:    2,
		prologue:  func(dim reg.GPVirtual) { mask = g.mask(dim) },
		load: func(m operand.Mem) reg.VecVirtual {
			x := g.vec()
			g.VMOVUPS(m, x)
			return x
		},
		step: func(x reg.VecVirtual, m operand.Mem, acc reg.VecVirtual) {
			do(g, x, m, []reg.VecVirtual{acc})
		},
		tail: func(q reg.Register, row [4]reg.GPVirtual, at, _ reg.GPVirtual, acc []reg.VecVirtual) {
			x := g.loadMasked(indexed(q, at, 0), mask)
			for r := range row {
				do(g, x, g.loadMasked(indexed(row[r], at, 0), mask), acc[r:r+1])
			}
		},
		finish: func(acc []reg.VecVirtual) reg.VecVirtual {
			for r := range 4 {
				g.VADDPS(acc[4+r], acc[r], acc[r])
			}
			return g.sumFour(acc[:4], false)
		},
	}.write(g)
}

// rows is a kernel of one query against chosen rows of a slab, four at a time.
type rows struct {
	name, signature, doc string
	elem                 int  // bytes of an element of q and slab
	strided              bool // rows begin at multiples of the parameter stride, not of dim
	ahead                int  // groups of four rows that are fetched in advance; 0 is 1
	near                 bool // rows are in the cache: none is fetched
	trailer              int  // bytes behind dim that the epilogue reads
	width                int  // bytes of a row that one step takes
	unroll               int  // steps of the inner loop
	prologue             func(dim reg.GPVirtual)
	load                 func(q operand.Mem) reg.VecVirtual
	step                 func(q reg.VecVirtual, row operand.Mem, acc reg.VecVirtual)
	// both is load and step in one, for all four rows, at offset at + disp.
	both func(q reg.Register, row [4]reg.GPVirtual, at reg.GPVirtual, disp int, acc []reg.VecVirtual)
	// tail takes the left bytes at offset at, fewer than width.
	tail func(q reg.Register, row [4]reg.GPVirtual, at, left reg.GPVirtual, acc []reg.VecVirtual)
	// finish turns unroll*4 accumulators, step-major, into four results.
	finish func(acc []reg.VecVirtual) reg.VecVirtual
	// epilogue turns these into what is stored, at the end of the four rows.
	epilogue func(x reg.VecVirtual, row [4]reg.GPVirtual, at reg.GPVirtual) reg.VecVirtual
}

func (k rows) write(g *amd64) {
	g.fn(k.name, k.signature, k.doc)
	if dim := g.load("dim"); k.prologue != nil {
		k.prologue(dim)
	}
	q, list, dst, n := g.load("q"), g.load("rows"), g.load("dst"), g.load("n")
	var row, next [4]reg.GPVirtual
	for r := range row {
		row[r], next[r] = g.GP64(), g.GP64()
	}
	stride := "dim"
	if k.strided {
		stride = "stride"
	}
	pointers := func(to [4]reg.GPVirtual, disp int) {
		for r := range to {
			g.MOVL(mem(list, disp+4*r), to[r].As32())
			g.IMULQ(g.addr(stride), to[r])
			if k.elem == 4 {
				g.SHLQ(operand.Imm(2), to[r])
			}
			g.ADDQ(g.addr("slab"), to[r])
		}
	}
	pointers(row, 0)
	if k.ahead > 1 && !k.near {
		k.fetchFirst(g, next, list, n, pointers)
	}
	acc := make([]reg.VecVirtual, 4*k.unroll)
	for i := range acc {
		acc[i] = g.vec()
	}

	g.Label("group")
	ahead := max(k.ahead, 1)
	if !k.near {
		g.Comment("The coming four rows, which are fetched while these are computed; the last group fetches itself")
		for r := range row {
			g.MOVQ(row[r], next[r])
		}
		g.CMPQ(n, operand.Imm(uint64(4*ahead)))
		g.JLE(operand.LabelRef("start"))
		pointers(next, 16*ahead)
		g.Label("start")
	}
	for i := range acc {
		g.clear(acc[i])
	}
	at, left := g.GP64(), g.GP64()
	g.XORQ(at, at)
	g.MOVQ(g.addr("dim"), left)
	if k.elem == 4 {
		g.SHLQ(operand.Imm(2), left)
	}

	k.loop(g, "blocks", k.unroll, q, row, next, at, left, acc)
	k.loop(g, "singles", 1, q, row, next, at, left, acc)
	if k.tail != nil {
		g.TESTQ(left, left)
		g.JZ(operand.LabelRef("reduce"))
		k.tail(q, row, at, left, acc)
	}

	g.Label("reduce")
	result := k.finish(acc)
	if k.trailer > 0 {
		for r := range next {
			g.PREFETCHT0(indexed(next[r], at, k.trailer-1))
		}
	}
	if k.epilogue != nil {
		result = k.epilogue(result, row, at)
	}
	g.VMOVUPS(result, mem(dst, 0))
	if ahead == 1 {
		for r := range row {
			g.MOVQ(next[r], row[r])
		}
	}
	g.ADDQ(operand.Imm(16), dst)
	g.ADDQ(operand.Imm(16), list)
	if ahead == 1 {
		g.SUBQ(operand.Imm(4), n)
		g.JG(operand.LabelRef("group"))
		g.ret()
		return
	}
	g.SUBQ(operand.Imm(4), n)
	g.JLE(operand.LabelRef("done"))
	pointers(row, 0)
	g.JMP(operand.LabelRef("group"))
	g.Label("done")
	g.ret()
}

// fetchFirst fetches the groups of rows that no group before them will: all of
// the first k.ahead.
func (k rows) fetchFirst(g *amd64, to [4]reg.GPVirtual, list, n reg.GPVirtual, pointers func([4]reg.GPVirtual, int)) {
	for group := range k.ahead {
		g.CMPQ(n, operand.Imm(uint64(4*group)))
		g.JLE(operand.LabelRef("fetched"))
		pointers(to, 16*group)
		left := g.GP64()
		g.MOVQ(g.addr("dim"), left)
		if k.trailer > 1 {
			g.ADDQ(operand.Imm(uint64(k.trailer-1)), left)
		} else {
			g.DECQ(left)
		}
		label := fmt.Sprintf("fetch%d", group)
		g.Label(label)
		for r := range to {
			g.PREFETCHT0(indexed(to[r], left, 0))
		}
		g.SUBQ(operand.Imm(64), left)
		g.JGE(operand.LabelRef(label))
	}
	g.Label("fetched")
}

// loop runs while as many bytes are left as unroll steps take.
func (k rows) loop(g *amd64, label string, unroll int, q reg.GPVirtual, row, next [4]reg.GPVirtual, at, left reg.GPVirtual, acc []reg.VecVirtual) {
	bytes := uint64(k.width * unroll)
	end := fmt.Sprintf("after_%s", label)
	g.Label(label)
	g.CMPQ(left, operand.U32(bytes))
	g.JL(operand.LabelRef(end))
	for r := range next {
		for line := 0; !k.near && line < int(bytes); line += 64 {
			// A row with a trailer need not begin with a line: its lines are met from behind.
			g.PREFETCHT0(indexed(next[r], at, line+max(k.trailer-1, 0)))
		}
	}
	for u := range unroll {
		if k.both != nil {
			k.both(q, row, at, u*k.width, acc[4*u:4*u+4])
			continue
		}
		x := k.load(indexed(q, at, u*k.width))
		for r := range row {
			k.step(x, indexed(row[r], at, u*k.width), acc[4*u+r])
		}
	}
	g.ADDQ(operand.U32(bytes), at)
	g.SUBQ(operand.U32(bytes), left)
	g.JMP(operand.LabelRef(label))
	g.Label(end)
}
