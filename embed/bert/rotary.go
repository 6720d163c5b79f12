package bert

import "math"

// angles are the cosines and sines of rotary positions (Su et al., RoFormer,
// 2021) of one base: positions x half a head.
type angles struct {
	theta       float64
	cosine, sin []float32
}

// prepareAngles makes sure that there are angles for sequences of up to longest
// tokens, for every base that the layers use.
func (n *network) prepareAngles(a *arena, longest int) {
	half := n.headSize() / 2
	for i := range n.layers {
		theta := n.layers[i].theta
		if theta == 0 {
			continue
		}
		if to := a.anglesOf(theta); to == nil {
			a.angles = append(a.angles, angles{theta: theta})
		}
		to := a.anglesOf(theta)
		for position := len(to.cosine) / half; position < longest; position++ {
			for j := range half {
				// In float32 where the reference is.
				frequency := float32(1 / math.Pow(theta, float64(float32(2*j)/float32(2*half))))
				sin, cosine := math.Sincos(float64(float32(position) * frequency))
				to.cosine, to.sin = append(to.cosine, float32(cosine)), append(to.sin, float32(sin))
			}
		}
	}
}

func (a *arena) anglesOf(theta float64) *angles {
	for i := range a.angles {
		if a.angles[i].theta == theta {
			return &a.angles[i]
		}
	}
	return nil
}

// rotate turns queries and keys of some rows by their positions. The two halves
// of a head are the two coordinates.
func (n *network) rotate(a *arena, at *layer, from, to int) {
	size, half := n.headSize(), n.headSize()/2
	by := a.anglesOf(at.theta)
	for i := from; i < to; i++ {
		position := int(a.rows[i]) * half
		cosine, sin := by.cosine[position:position+half], by.sin[position:position+half]
		row := a.qkv[i*3*n.Hidden:][:2*n.Hidden]
		for ; len(row) > 0; row = row[size:] {
			x, y := row[:half:half], row[half:size:size]
			for j, c := range cosine {
				s, u, v := sin[j], x[j], y[j]
				x[j], y[j] = u*c-v*s, v*c+u*s
			}
		}
	}
}
