package main

import (
	"fmt"
	"log"
	"strings"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
	"github.com/mmcloughlin/avo/reg"
)

// amd64 is avo's context together with the width that the code is written for.
// The same text serves both widths: only the tails differ, where AVX-512 has
// mask registers and AVX2 a vector of lanes.
type amd64 struct {
	*build.Context
	bits  int // 256 or 512
	masks operand.Mem
}

// tier is the suffix of function names.
func (g *amd64) tier() string {
	if g.bits == 512 {
		return "AVX512"
	}
	return "AVX2"
}

// width is the size of a vector in bytes.
func (g *amd64) width() int { return g.bits / 8 }

// vec returns a new vector register.
func (g *amd64) vec() reg.VecVirtual {
	if g.bits == 512 {
		return g.ZMM()
	}
	return g.YMM()
}

// zeros returns n new vector registers, cleared.
func (g *amd64) zeros(n int) []reg.VecVirtual {
	vs := make([]reg.VecVirtual, n)
	for i := range vs {
		vs[i] = g.vec()
		g.clear(vs[i])
	}
	return vs
}

func (g *amd64) clear(v reg.VecVirtual) {
	if g.bits == 512 {
		g.VPXORD(v, v, v)
	} else {
		g.VXORPS(v, v, v)
	}
}

// fn opens a function. Every kernel is a leaf without a frame, and its pointers
// don't escape.
func (g *amd64) fn(name, signature, doc string) {
	g.Function(name)
	g.Attributes(attr.NOSPLIT)
	g.SignatureExpr(signature)
	g.Doc(name + " " + doc)
	g.Pragma("noescape")
}

// load puts a parameter into a new register.
func (g *amd64) load(param string) reg.GPVirtual {
	r := g.GP64()
	g.Load(g.Param(param), r)
	return r
}

// addr returns where a parameter lies, for those that aren't worth a register.
func (g *amd64) addr(param string) operand.Mem {
	b, err := g.Param(param).Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}

// result stores lane 0 of v as result i: four bytes, by an AVX instruction, where
// avo's own Store would choose one of SSE or of eight bytes.
func (g *amd64) result(i int, v reg.VecVirtual) {
	b, err := g.ReturnIndex(i).Resolve()
	if err != nil {
		panic(err)
	}
	g.VMOVSS(v, b.Addr)
}

func (g *amd64) ret() {
	g.VZEROUPPER()
	g.RET()
}

func mem(base reg.Register, disp int) operand.Mem { return operand.Mem{Base: base, Disp: disp} }

func indexed(base, index reg.Register, disp int) operand.Mem {
	return operand.Mem{Base: base, Index: index, Scale: 1, Disp: disp}
}

// laneMask is the mask of a tail of float32: a mask register, or a vector whose
// chosen lanes have their sign bit set.
type laneMask struct {
	k reg.OpmaskVirtual
	v reg.VecVirtual
}

// maskTable is a table of n/2 ones and n/2 zeros of float32 lanes.
func (g *amd64) maskTable() {
	g.masks = g.StaticGlobal("laneMasks")
	g.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 16 {
		v := uint32(0)
		if i < 8 {
			v = 0xffffffff
		}
		g.AddDatum(4*i, operand.U32(v))
	}
}

// mask returns the mask of the first n lanes, n below the lanes of a vector.
func (g *amd64) mask(n reg.GPVirtual) laneMask {
	if g.bits == 512 {
		g.Comment("Mask of the tail's lanes")
		g.MOVQ(n, reg.RCX)
		g.ANDQ(operand.Imm(15), reg.RCX)
		one := g.GP32()
		g.MOVL(operand.U32(1), one)
		g.SHLL(reg.CL, one)
		g.DECL(one)
		k := g.K()
		g.KMOVW(one, k)
		return laneMask{k: k}
	}
	g.Comment("Mask of the tail's lanes: a window of the table that has n ones")
	at := g.GP64()
	g.MOVQ(n, at)
	g.ANDQ(operand.Imm(7), at)
	g.NEGQ(at)
	table := g.GP64()
	g.LEAQ(g.masks, table)
	v := g.YMM()
	g.VMOVUPS(operand.Mem{Base: table, Index: at, Scale: 4, Disp: 32}, v)
	return laneMask{v: v}
}

// loadMasked loads the chosen lanes and clears the others. Lanes that aren't
// chosen are not read: no fault can come from them.
func (g *amd64) loadMasked(m operand.Mem, mask laneMask) reg.VecVirtual {
	v := g.vec()
	if g.bits == 512 {
		g.VMOVUPS_Z(m, mask.k, v)
	} else {
		g.VMASKMOVPS(m, mask.v, v)
	}
	return v
}

func (g *amd64) storeMasked(v reg.VecVirtual, m operand.Mem, mask laneMask) {
	if g.bits == 512 {
		g.VMOVUPS(v, mask.k, m)
	} else {
		g.VMASKMOVPS(v, mask.v, m)
	}
}

// fold256 adds the upper half of a 512-bit register to its lower half.
func (g *amd64) fold256(v reg.VecVirtual, integer bool) reg.VecVirtual {
	if g.bits == 256 {
		return v
	}
	hi := g.YMM()
	lo := v.AsY()
	if integer {
		g.VEXTRACTI64X4(operand.Imm(1), v, hi)
		g.VPADDD(hi, lo, hi)
	} else {
		g.VEXTRACTF64X4(operand.Imm(1), v, hi)
		g.VADDPS(hi, lo, hi)
	}
	return hi
}

// sumLanes adds all lanes up and returns the sum in lane 0.
func (g *amd64) sumLanes(v reg.VecVirtual, integer bool) reg.VecVirtual {
	y := g.fold256(v, integer)
	x, t := g.XMM(), g.XMM()
	if integer {
		g.VEXTRACTI128(operand.Imm(1), y, x)
		g.VPADDD(y.AsX(), x, x)
		g.VPSHUFD(operand.U8(0b01001110), x, t)
		g.VPADDD(t, x, x)
		g.VPSHUFD(operand.U8(0b10110001), x, t)
		g.VPADDD(t, x, x)
		return x
	}
	g.VEXTRACTF128(operand.Imm(1), y, x)
	g.VADDPS(y.AsX(), x, x)
	g.VPERMILPS(operand.U8(0b01001110), x, t)
	g.VADDPS(t, x, x)
	g.VMOVSHDUP(x, t)
	g.VADDSS(t, x, x)
	return x
}

// sumFour adds the lanes of each of four registers up and returns the four sums
// in one xmm register.
func (g *amd64) sumFour(vs []reg.VecVirtual, integer bool) reg.VecVirtual {
	var y [4]reg.VecVirtual
	for i := range y {
		y[i] = g.fold256(vs[i], integer)
	}
	ab, cd, x := g.YMM(), g.YMM(), g.XMM()
	if integer {
		g.VPHADDD(y[1], y[0], ab)
		g.VPHADDD(y[3], y[2], cd)
		g.VPHADDD(cd, ab, ab)
		g.VEXTRACTI128(operand.Imm(1), ab, x)
		g.VPADDD(ab.AsX(), x, x)
		return x
	}
	g.VHADDPS(y[1], y[0], ab)
	g.VHADDPS(y[3], y[2], cd)
	g.VHADDPS(cd, ab, ab)
	g.VEXTRACTF128(operand.Imm(1), ab, x)
	g.VADDPS(ab.AsX(), x, x)
	return x
}

// printAMD64 runs write and returns PKG/BASE_amd64.s and its stubs.
func printAMD64(pkg, base string, write func(*amd64)) ([]file, error) {
	g := &amd64{Context: build.NewContext(), bits: 512}
	g.ConstraintExpr("!noasm")
	write(g)
	f, err := g.Result()
	if err != nil {
		build.LogError(log.Default(), err, 10)
		return nil, err
	}
	if err := pass.Compile.Execute(f); err != nil {
		return nil, err
	}
	cfg := printer.Config{Name: "kernels/_gen", Pkg: pkg}
	asm, err := printer.NewGoAsm(cfg).Print(f)
	if err != nil {
		return nil, err
	}
	stubs, err := printer.NewStubs(cfg).Print(f)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("%s/%s_amd64", pkg, base)
	stub := fmt.Sprintf("%s/%s_stubs_amd64.go", pkg, base)
	return []file{{name + ".s", tidy(asm)}, {stub, tidy(stubs)}}, nil
}

// tidy drops trailing blanks.
func tidy(text []byte) []byte {
	lines := strings.Split(string(text), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t")
	}
	return []byte(strings.Join(lines, "\n"))
}
