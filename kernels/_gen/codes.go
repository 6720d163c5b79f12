package main

import (
	"strings"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// codeDots writes codes/dot_amd64.s: a signed query against unsigned codes of 8
// bits, and against codes of 4 bits.
func codeDots(g *amd64) {
	words := g.wordTable()
	fetchRows(g)
	for _, bits := range []int{256, 512} {
		g.bits = bits
		for _, keys := range []bool{false, true} {
			u8Rows(g, words, keys)
			nibbleRows(g, false, keys)
		}
		decodeNibbles(g)
	}
	for _, keys := range []bool{false, true} {
		u8RowsVNNI(g, keys, false)
		nibbleRows(g, true, keys)
	}
	u8RowsVNNI(g, false, true)
}

const (
	u8RowsSignature = "func(dst *int32, q *int8, slab *uint8, rows *uint32, dim, stride, n int, flip uint32)"
	u8RowsDoc       = "sets dst[i] to (q ^ flip).row(rows[i]) for i < n; n is a positive multiple of 4, dim is positive."

	nibbleRowsSignature = "func(dst *int32, q *int8, slab *uint8, rows *uint32, dim, stride, n int)"
	nibbleRowsDoc       = "sets dst[i] to q.row(rows[i]) for i < n; dim is the bytes of a row, a positive multiple of 64, n a positive multiple of 4."
)

const (
	u8KeysSignature = "func(dst *uint32, q *int8, slab *uint8, rows *uint32, dim, stride, n int, shift int32, factor float32)"
	u8KeysDoc       = "sets dst[i] to the key of factor*(q.row(rows[i]) - shift) for i < n; n is a positive multiple of 4, dim is positive."

	nibbleKeysSignature = "func(dst *uint32, q *int8, slab *uint8, rows *uint32, dim, stride, n int, offset, sum, factor float32)"
	nibbleKeysDoc       = "sets dst[i] to the key of offset + (bound*sum + step*(factor*q.row(rows[i]))) for i < n; dim is the bytes of a row, a positive multiple of 64, n a positive multiple of 4."
)

// keys makes kernels that end in keys. Every product and sum is rounded on its
// own, as in the reference.
type keys struct {
	g      *amd64
	params []reg.VecVirtual
}

// keyParams broadcasts parameters of four bytes.
func keyParams(g *amd64, names ...string) keys {
	k := keys{g: g}
	for _, name := range names {
		v := g.XMM()
		g.VBROADCASTSS(g.addr(name), v)
		k.params = append(k.params, v)
	}
	// All bits but the sign.
	r, v := g.GP32(), g.XMM()
	g.MOVL(operand.U32(0x7fffffff), r)
	g.VMOVD(r, v)
	g.VPBROADCASTD(v, v)
	k.params = append(k.params, v)
	return k
}

// of turns four floats into keys: all bits of what is positive but the sign are
// turned around.
func (k keys) of(x reg.VecVirtual) reg.VecVirtual {
	t := k.g.XMM()
	k.g.VPSRAD(operand.Imm(31), x, t)
	k.g.VPANDN(k.params[len(k.params)-1], t, t)
	k.g.VPXOR(t, x, x)
	return x
}

// u8 are the keys of 8-bit codes, given shift and factor.
func (k keys) u8(x reg.VecVirtual) reg.VecVirtual {
	k.g.VPSUBD(k.params[0], x, x)
	k.g.VCVTDQ2PS(x, x)
	k.g.VMULPS(k.params[1], x, x)
	return k.of(x)
}

// nibble are the keys of 4-bit codes, given offset, sum and factor.
func (k keys) nibble(x reg.VecVirtual, row [4]reg.GPVirtual, at reg.GPVirtual) reg.VecVirtual {
	g := k.g
	ab, cd, bound, step := g.XMM(), g.XMM(), g.XMM(), g.XMM()
	g.VMOVSD(indexed(row[0], at, 0), ab)
	g.VMOVHPS(indexed(row[1], at, 0), ab, ab)
	g.VMOVSD(indexed(row[2], at, 0), cd)
	g.VMOVHPS(indexed(row[3], at, 0), cd, cd)
	g.VSHUFPS(operand.U8(0x88), cd, ab, bound)
	g.VSHUFPS(operand.U8(0xdd), cd, ab, step)
	g.VCVTDQ2PS(x, x)
	g.VMULPS(k.params[2], x, x)
	g.VMULPS(step, x, x)
	g.VMULPS(k.params[1], bound, bound)
	g.VADDPS(bound, x, x)
	g.VADDPS(k.params[0], x, x)
	return k.of(x)
}

// flip returns a register full of the parameter flip.
func (g *amd64) flip() reg.VecVirtual {
	v := g.vec()
	g.VBROADCASTSS(g.addr("flip"), v)
	return v
}

// u8Rows widens both sides to 16 bits, unsigned and signed; VPMADDWD is exact:
// the greatest sum is 2 * 255 * 128.
func u8Rows(g *amd64, words operand.Mem, asKeys bool) {
	var flip reg.VecVirtual
	half := func(v reg.VecVirtual) reg.VecVirtual {
		if g.bits == 512 {
			return v.AsY().(reg.VecVirtual)
		}
		return v.AsX().(reg.VecVirtual)
	}
	newHalf := func() reg.VecVirtual {
		if g.bits == 512 {
			return g.YMM()
		}
		return g.XMM()
	}
	madd := func(x, y, acc reg.VecVirtual) {
		t := g.vec()
		g.VPMADDWD(x, y, t)
		g.VPADDD(t, acc, acc)
	}
	signed := func(bytes reg.VecVirtual) reg.VecVirtual {
		v := g.vec()
		if !asKeys {
			g.VPXOR(half(flip), bytes, bytes)
		}
		g.VPMOVSXBW(bytes, v)
		return v
	}
	k := rows{
		name:      "u8Rows" + g.tier(),
		signature: u8RowsSignature,
		doc:       u8RowsDoc,
		elem:      1,
		strided:   true,
		ahead:     4,
		width:     g.width() / 2,
		unroll:    2,
		prologue:  func(reg.GPVirtual) { flip = g.flip() },
		load: func(m operand.Mem) reg.VecVirtual {
			b := newHalf()
			g.VMOVDQU(m, b)
			return signed(b)
		},
		step: func(x reg.VecVirtual, m operand.Mem, acc reg.VecVirtual) {
			y := g.vec()
			g.VPMOVZXBW(m, y)
			madd(x, y, acc)
		},
		tail: func(q reg.Register, row [4]reg.GPVirtual, at, left reg.GPVirtual, acc []reg.VecVirtual) {
			if g.bits == 512 {
				k := g.byteMask(left)
				b := g.YMM()
				g.VMOVDQU8_Z(indexed(q, at, 0), k, b)
				x := signed(b)
				for r := range row {
					y, v := g.YMM(), g.ZMM()
					g.VMOVDQU8_Z(indexed(row[r], at, 0), k, y)
					g.VPMOVZXBW(y, v)
					madd(x, v, acc[r])
				}
				return
			}
			g.Comment("Back over the last 16 elements; those that were taken already are cleared")
			table, mask := g.GP64(), g.YMM()
			g.LEAQ(words, table)
			g.VMOVDQU(operand.Mem{Base: table, Index: left, Scale: 2}, mask)
			g.ADDQ(left, at)
			b := g.XMM()
			g.VMOVDQU(indexed(q, at, -16), b)
			x := signed(b)
			g.VPAND(mask, x, x)
			for r := range row {
				y := g.YMM()
				g.VPMOVZXBW(indexed(row[r], at, -16), y)
				madd(x, y, acc[r])
			}
		},
		finish: func(acc []reg.VecVirtual) reg.VecVirtual { return sumRows(g, acc) },
	}
	k.finishU8(g, asKeys)
}

// finishU8 writes the kernel, with keys for results where these are wanted.
func (k rows) finishU8(g *amd64, asKeys bool) {
	if asKeys {
		k.name = strings.Replace(k.name, "Rows", "Keys", 1)
		k.signature, k.doc = u8KeysSignature, u8KeysDoc
		var params keys
		k.prologue = func(reg.GPVirtual) { params = keyParams(g, "shift", "factor") }
		k.epilogue = func(x reg.VecVirtual, row [4]reg.GPVirtual, at reg.GPVirtual) reg.VecVirtual {
			return params.u8(x)
		}
	}
	if g.bits == 256 {
		k.doc = strings.Replace(k.doc, "dim is positive", "dim is at least 16", 1)
	}
	k.write(g)
}

// sumRows adds the accumulators of two steps of four rows up.
func sumRows(g *amd64, acc []reg.VecVirtual) reg.VecVirtual {
	for r := range 4 {
		g.VPADDD(acc[4+r], acc[r], acc[r])
	}
	return g.sumFour(acc[:4], true)
}

// u8RowsVNNI multiplies as VPDPBUSD has it: unsigned rows by a signed query.
func u8RowsVNNI(g *amd64, asKeys, near bool) {
	var flip reg.VecVirtual
	k := rows{
		name:      "u8RowsVNNI",
		signature: u8RowsSignature,
		doc:       u8RowsDoc,
		elem:      1,
		strided:   true,
		ahead:     4,
		width:     64,
		unroll:    2,
		prologue:  func(reg.GPVirtual) { flip = g.flip() },
		load: func(m operand.Mem) reg.VecVirtual {
			x := g.ZMM()
			if asKeys {
				g.VMOVDQU32(m, x)
			} else {
				g.VPXORD(m, flip, x)
			}
			return x
		},
		step: func(x reg.VecVirtual, m operand.Mem, acc reg.VecVirtual) {
			y := g.ZMM()
			g.VMOVDQU32(m, y)
			g.VPDPBUSD(x, y, acc)
		},
		tail: func(q reg.Register, row [4]reg.GPVirtual, at, left reg.GPVirtual, acc []reg.VecVirtual) {
			k := g.byteMask(left)
			x := g.ZMM()
			g.VMOVDQU8_Z(indexed(q, at, 0), k, x)
			if !asKeys {
				g.VPXORD(x, flip, x)
			}
			for r := range row {
				y := g.ZMM()
				g.VMOVDQU8_Z(indexed(row[r], at, 0), k, y)
				g.VPDPBUSD(x, y, acc[r])
			}
		},
		finish: func(acc []reg.VecVirtual) reg.VecVirtual { return sumRows(g, acc) },
	}
	if near {
		k.name, k.near = "u8NearVNNI", true
	}
	k.finishU8(g, asKeys)
}

// nibbleRows takes 64 bytes of each row, a block of 128 dimensions, at a time:
// their lower nibbles against the first 64 bytes of the query's block, the upper
// ones against the other 64. Without VNNI neighbours are added in 16 bits by
// VPMADDUBSW, which has room: the greatest sum is 2 * 15 * 128.
func nibbleRows(g *amd64, vnni, asKeys bool) {
	name := "nibbleRows" + g.tier()
	if vnni {
		name = "nibbleRowsVNNI"
	}
	var low, ones reg.VecVirtual
	broadcast := func(x uint32) reg.VecVirtual {
		r, x32, v := g.GP32(), g.XMM(), g.vec()
		g.MOVL(operand.U32(x), r)
		g.VMOVD(r, x32)
		g.VPBROADCASTD(x32, v)
		return v
	}
	and := func(x, to reg.VecVirtual) {
		if g.bits == 512 {
			g.VPANDD(low, x, to)
		} else {
			g.VPAND(low, x, to)
		}
	}
	dot := func(nibbles, q, acc reg.VecVirtual) {
		if vnni {
			g.VPDPBUSD(q, nibbles, acc)
			return
		}
		g.VPMADDUBSW(q, nibbles, nibbles)
		g.VPMADDWD(ones, nibbles, nibbles)
		g.VPADDD(nibbles, acc, acc)
	}
	load := func(m operand.Mem) reg.VecVirtual {
		v := g.vec()
		if g.bits == 512 {
			g.VMOVDQU32(m, v)
		} else {
			g.VMOVDQU(m, v)
		}
		return v
	}
	k := rows{
		name:      name,
		signature: nibbleRowsSignature,
		doc:       nibbleRowsDoc,
		elem:      1,
		strided:   true,
		ahead:     4,
		width:     64,
		unroll:    1,
		prologue: func(reg.GPVirtual) {
			low = broadcast(0x0f0f0f0f)
			if !vnni {
				ones = broadcast(0x00010001)
			}
		},
		both: func(q reg.Register, row [4]reg.GPVirtual, at reg.GPVirtual, disp int, acc []reg.VecVirtual) {
			for part := 0; part < 64; part += g.width() {
				block := func(disp int) operand.Mem {
					return operand.Mem{Base: q, Index: at, Scale: 2, Disp: disp + part}
				}
				first, second := load(block(2*disp)), load(block(2*disp+64))
				for r := range row {
					x, lower := load(indexed(row[r], at, disp+part)), g.vec()
					and(x, lower)
					g.VPSRLW(operand.Imm(4), x, x)
					and(x, x)
					dot(lower, first, acc[r])
					dot(x, second, acc[r])
				}
			}
		},
		finish: func(acc []reg.VecVirtual) reg.VecVirtual { return g.sumFour(acc, true) },
	}
	if asKeys {
		k.name = strings.Replace(name, "Rows", "Keys", 1)
		k.signature, k.doc, k.trailer = nibbleKeysSignature, nibbleKeysDoc, 8
		constants := k.prologue
		var params keys
		k.prologue = func(dim reg.GPVirtual) {
			constants(dim)
			params = keyParams(g, "offset", "sum", "factor")
		}
		k.epilogue = func(x reg.VecVirtual, row [4]reg.GPVirtual, at reg.GPVirtual) reg.VecVirtual {
			return params.nibble(x, row, at)
		}
	}
	k.write(g)
}

// decodeNibbles writes the kernel that makes 8-bit codes of a row of 4-bit codes
// and its residual. Products and sums are rounded one by one, as the reference
// rounds them.
func decodeNibbles(g *amd64) {
	g.fn("decode"+g.tier(), "func(dst, code, fine *uint8, origin *float32, blocks int, bound, step, fineStep float32)",
		"sets dst[i] to 128 + the integer nearest to origin[i] + bound + step*code[i] + fineStep*fine[i], kept within 1..255, for blocks of 128 dimensions.")
	dst, code, fine, origin, blocks := g.load("dst"), g.load("code"), g.load("fine"), g.load("origin"), g.load("blocks")
	constant := func(x uint32) reg.VecVirtual {
		r, x32, v := g.GP32(), g.XMM(), g.vec()
		g.MOVL(operand.U32(x), r)
		g.VMOVD(r, x32)
		g.VPBROADCASTD(x32, v)
		return v
	}
	param := func(name string) reg.VecVirtual {
		v := g.vec()
		g.VBROADCASTSS(g.addr(name), v)
		return v
	}
	low, flip := constant(15), constant(0x80808080)
	most, least := constant(0x42fe0000), constant(0xc2fe0000) // 127 and -127
	bound, step, fineStep := param("bound"), param("step"), param("fineStep")
	lanes := g.width() / 4
	g.Label("block")
	for group := 0; group < 64; group += lanes {
		bytes := g.vec()
		g.VPMOVZXBD(mem(code, group), bytes)
		for part := range 2 {
			at := group + 64*part
			x, y, z := g.vec(), g.vec(), g.vec()
			switch {
			case part == 1:
				g.VPSRLD(operand.Imm(4), bytes, x)
			case g.bits == 512:
				g.VPANDD(low, bytes, x)
			default:
				g.VPAND(low, bytes, x)
			}
			g.VCVTDQ2PS(x, x)
			g.VMULPS(step, x, x)
			g.VADDPS(mem(origin, 4*at), bound, y)
			g.VADDPS(x, y, x)
			g.VPMOVZXBD(mem(fine, at), z)
			g.VCVTDQ2PS(z, z)
			g.VMULPS(fineStep, z, z)
			g.VADDPS(z, x, x)
			g.VMINPS(most, x, x)
			g.VMAXPS(least, x, x)
			g.VCVTPS2DQ(x, x)
			out := g.XMM()
			if g.bits == 512 {
				g.VPMOVSDB(x, out)
				g.VPXOR(flip.AsX(), out, out)
				g.VMOVDQU(out, mem(dst, at))
				continue
			}
			g.VEXTRACTI128(operand.Imm(1), x, out)
			g.VPACKSSDW(out, x.AsX(), out)
			g.VPACKSSWB(out, out, out)
			g.VPXOR(flip.AsX(), out, out)
			g.VMOVQ(out, mem(dst, at))
		}
	}
	g.ADDQ(operand.Imm(64), code)
	g.ADDQ(operand.U32(128), fine)
	g.ADDQ(operand.U32(128), dst)
	g.ADDQ(operand.U32(512), origin)
	g.DECQ(blocks)
	g.JNZ(operand.LabelRef("block"))
	g.ret()
}

// fetchRows writes the kernel that only prefetches.
func fetchRows(g *amd64) {
	g.fn("fetchRows", "func(slab *uint8, rows *uint32, size, stride, n int)",
		"prefetches size bytes of each of n rows of slab; size and n are positive.")
	list, n := g.load("rows"), g.load("n")
	g.Label("row")
	row, at := g.GP64(), g.GP64()
	g.MOVL(mem(list, 0), row.As32())
	g.IMULQ(g.addr("stride"), row)
	g.ADDQ(g.addr("slab"), row)
	g.MOVQ(g.addr("size"), at)
	g.DECQ(at)
	g.Comment("From the last byte back in steps of a line, then the first byte, whose line may be another")
	g.Label("line")
	g.PREFETCHT0(indexed(row, at, 0))
	g.SUBQ(operand.Imm(64), at)
	g.JG(operand.LabelRef("line"))
	g.PREFETCHT0(mem(row, 0))
	g.ADDQ(operand.Imm(4), list)
	g.DECQ(n)
	g.JNZ(operand.LabelRef("row"))
	g.RET()
}
