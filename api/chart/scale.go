package chart

import (
	"math"
	"strconv"
	"strings"
)

// scale maps the values of an axis to 0..1.
type scale struct {
	log      bool
	from, to float64 // as they are drawn: logarithms on a logarithmic axis
	ticks    []float64
}

// newScale fits an axis to values from low to high, with about so many ticks.
func newScale(log bool, low, high float64, about int) scale {
	s := scale{log: log}
	if log {
		s.from, s.to = math.Log10(low), math.Log10(high)
		if s.to-s.from < 0.1 {
			s.from, s.to = s.from-0.2, s.to+0.2
		}
		margin := (s.to - s.from) * 0.03
		s.from, s.to = s.from-margin, s.to+margin
		s.ticks = logTicks(s.from, s.to, about)
		return s
	}
	if width := high - low; width <= math.Max(math.Abs(low), math.Abs(high))*1e-9 {
		pad := math.Max(math.Abs(high)*0.1, 1e-9)
		low, high = low-pad, high+pad
	}
	step := niceStep((high - low) / float64(about))
	s.from, s.to = math.Floor(low/step+1e-9)*step, math.Ceil(high/step-1e-9)*step
	for i := range int(math.Round((s.to-s.from)/step)) + 1 {
		s.ticks = append(s.ticks, s.from+float64(i)*step)
	}
	return s
}

// at is where a value lies.
func (s scale) at(v float64) float64 {
	if s.log {
		v = math.Log10(v)
	}
	return (v - s.from) / (s.to - s.from)
}

// niceStep is the least of 1, 2, 5 times a power of ten that is not below.
func niceStep(atLeast float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(atLeast)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= atLeast*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// logTicks are powers of ten between two logarithms, thinned where there are
// too many, and 2 and 5 times them where there are few.
func logTicks(from, to float64, about int) []float64 {
	for _, multiples := range [][]float64{{1, 2, 5}, {1}} {
		var ticks []float64
		for e := math.Floor(from); e <= to; e++ {
			for _, m := range multiples {
				if l := e + math.Log10(m); l >= from && l <= to {
					ticks = append(ticks, m*math.Pow(10, e))
				}
			}
		}
		if len(ticks) <= 2*about && len(ticks) > 1 {
			return ticks
		}
	}
	// Very wide: every so many powers. Very narrow: its ends.
	if to-from < 1 {
		return []float64{rounded(math.Pow(10, from)), rounded(math.Pow(10, to))}
	}
	every := math.Ceil((to - from) / float64(about))
	var ticks []float64
	for e := math.Ceil(from); e <= to; e += every {
		ticks = append(ticks, math.Pow(10, e))
	}
	return ticks
}

// rounded keeps three digits.
func rounded(v float64) float64 {
	r, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'e', 2, 64), 64)
	return r
}

// number is a tick in few characters: 0.95, 20k, 1M, 5e-09.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a < 1e-12:
		return "0"
	case a >= 1e12 || a < 1e-4:
		return strconv.FormatFloat(v, 'g', 3, 64)
	case a >= 1e9*(1-1e-9):
		return short(v/1e9) + "G"
	case a >= 1e6*(1-1e-9):
		return short(v/1e6) + "M"
	case a >= 1e4*(1-1e-9):
		return short(v/1e3) + "k"
	}
	return short(v)
}

// short is at most six digits without zeros at the end.
func short(v float64) string {
	s := strconv.FormatFloat(v, 'f', 6, 64)
	return strings.TrimRight(strings.TrimRight(s, "0"), ".")
}
