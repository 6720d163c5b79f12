package compat

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// sample is a valid manifest with every leaf set.
func sample() Manifest {
	return Manifest{
		Schema: 1,
		Space: Space{
			Encoder: "static/1", Weights: Digest{1, 2, 3}, Tokenizer: Digest{4, 5, 6},
			Pooling: PoolingMean, QueryPrompt: "query: ", DocumentPrompt: "passage: ",
			MaxTokens: 512, Normalization: NormalizeL2, Precision: PrecisionF32,
			Dimension: 4, FullDimension: 8,
		},
		Metric: MetricCosine,
		Index:  IndexBuild{Engine: EngineHNSW, M: 16, EfConstruction: 200, Encoding: EncodingF32},
		Search: SearchDefaults{Ef: 100, Oversampling: 1.5},
		Evidence: Evidence{
			Probes: []Probe{
				{Text: "one", Document: []float32{1, 0, 0, 0}, Query: []float32{0, 1, 0, 0}},
				{Text: "two"},
			},
			ModelCard: "A card.",
			Recall:    &MeasuredRecall{K: 10, Ef: 64, Queries: 100, Recall: 0.97, At: time.Date(2025, 3, 1, 12, 0, 0, 5, time.UTC)},
			Adoption:  &Adoption{From: Fingerprint{7}, Points: 1000, Texts: 200, LeastCosine: 0.9995, MeanCosine: 0.99975, At: time.Date(2025, 3, 1, 13, 0, 0, 0, time.UTC)},
		},
		Provenance: Provenance{
			Model: "local:sample", Source: "/models/sample", Program: "0.1.0",
			CreatedAt: time.Date(2025, 3, 1, 11, 0, 0, 123456789, time.UTC),
			Verified:  true, TextField: "content", Labels: map[string]string{"team": "search", "stage": "test"},
		},
	}
}

// leaf is one leaf field of a struct, found by reflection.
type leaf struct {
	name string
	set  func(m *Manifest) reflect.Value
}

// leaves walks a Manifest: structs are walked into, times are leaves, and so
// are slices, maps and pointers, which the encoding writes as one field.
func leaves(t reflect.Type, prefix string, index []int) []leaf {
	var all []leaf
	for i := range t.NumField() {
		f := t.Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if tag == "" {
			tag = fmt.Sprintf("%s has no json name", f.Name)
		}
		at := append(append([]int(nil), index...), i)
		if f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeFor[time.Time]() {
			all = append(all, leaves(f.Type, prefix+tag+".", at)...)
			continue
		}
		all = append(all, leaf{prefix + tag, func(m *Manifest) reflect.Value {
			return reflect.ValueOf(m).Elem().FieldByIndex(at)
		}})
	}
	return all
}

func manifestLeaves() []leaf { return leaves(reflect.TypeFor[Manifest](), "", nil) }

// alter gives v another value, whatever its type, without changing what it
// shares with others.
func alter(t *testing.T, v reflect.Value) {
	t.Helper()
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(v.Interface().(time.Time).Add(time.Nanosecond)))
	case v.Type() == reflect.TypeFor[Fingerprint]():
		f := v.Interface().(Fingerprint)
		f[31]++
		v.Set(reflect.ValueOf(f))
	case v.Type() == reflect.TypeFor[Digest]():
		d := v.Interface().(Digest)
		d[31]++
		v.Set(reflect.ValueOf(d))
	default:
		switch v.Kind() {
		case reflect.String:
			v.SetString(v.String() + "x")
		case reflect.Int:
			v.SetInt(v.Int() + 1)
		case reflect.Float64, reflect.Float32:
			v.SetFloat(v.Float() + 0.125)
		case reflect.Bool:
			v.SetBool(!v.Bool())
		case reflect.Slice, reflect.Map, reflect.Pointer:
			if v.IsNil() {
				t.Fatalf("nothing to alter in a nil %v: fill it in sample()", v.Type())
			}
			v.SetZero()
		default:
			t.Fatalf("no way to alter a %v: add it to the encoding's kinds and here", v.Type())
		}
	}
}
