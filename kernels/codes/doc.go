// Package codes has the kernels of quantized rows: inner products of a signed
// query with unsigned codes of 8 bits, or of 4 bits, over chosen rows of a slab.
//
// The slab is bytes; row r begins at r * stride, and what lies between the end
// of its codes and the next row is nobody's business here. A row of 8-bit codes
// is one byte a dimension. A row of 4-bit codes is laid in blocks of 128
// dimensions, 64 bytes each: byte j of a block has dimension j of the block in
// its lower nibble and dimension j+64 in its upper one.
//
// DotKeys and NibbleKeys give keys that sort by nearness instead, as package beam
// takes them.
//
// The arithmetic is exact, so all tiers give the same result to the bit. A sum
// is an int32: 65,536 dimensions can't overflow it (65,536 * 255 * 128 < 2^31);
// beyond, it wraps as Go's int32 does.
//
// Rows outside of the slab, a stride below the length of a row and short
// destinations are programming errors: they panic before anything is written.
// No kernel reads or writes outside of its arguments, allocates, or retains
// them. All are safe for concurrent use as far as their destinations don't
// overlap.
package codes
