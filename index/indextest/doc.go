// Package indextest is the conformance suite that every engine runs: what a
// caller of package index relies on, checked against a naive float64 oracle
// that shares no code with any engine.
//
//	func TestConformance(t *testing.T) {
//		indextest.Run(t, indextest.Engine{Name: "exact", New: ..., Load: ..., Recall: 1})
//	}
//
// Data are drawn from seeded generators; every test prints its seed.
package indextest
