//go:build noasm || !(amd64 || arm64)

package f32

func add(dst, b []float32)                         { addGeneric(dst, b) }
func mul(dst, b []float32)                         { mulGeneric(dst, b) }
func axpy(dst, b []float32, s float32)             { axpyGeneric(dst, b, s) }
func gelu(v []float32)                             { geluGeneric(v) }
func silu(v []float32)                             { siluGeneric(v) }
func geluTanh(v []float32)                         { geluTanhGeneric(v) }
func softmax(v []float32, n int)                   { softmaxGeneric(v, n) }
func sum(v []float32) float32                      { return sumGeneric(v) }
func deviations(v []float32, mean float32) float32 { return deviationsGeneric(v, mean) }
func affine(v, gamma, beta []float32, mean, inverse float32) {
	affineGeneric(v, gamma, beta, mean, inverse)
}
