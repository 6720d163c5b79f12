package httpapi

import (
	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/api/strictjson"
	"github.com/vecino-db/vecino/compat"
)

// distances are Qdrant's names of the metrics.
var distances = map[string]compat.Metric{"Cosine": compat.MetricCosine, "Dot": compat.MetricDot, "Euclid": compat.MetricL2}

// distanceOf is Qdrant's name of a metric.
func distanceOf(m compat.Metric) string {
	for name, metric := range distances {
		if metric == m {
			return name
		}
	}
	return string(m)
}

// decodeWish reads what a collection should be.
func decodeWish(data []byte) (api.Wish, error) {
	var w api.Wish
	err := strictjson.Decode(data, func(r *strictjson.Reader) error { return fields(r, wishDecoders(r, &w)) })
	return w, err
}

// wishDecoders read the members of a wish.
func wishDecoders(r *strictjson.Reader, w *api.Wish) map[string]func() error {
	decoders := map[string]func() error{
		"embedding": func() error { w.Embedding = new(api.EmbeddingWish); return embeddingWish(r, w.Embedding) },
		"vectors":   optional(r, func() error { w.Vectors = new(api.VectorsWish); return vectorsWish(r, w) }),
		"index": func() error {
			return fields(r, map[string]func() error{
				"engine":       oneOf(r, &w.Index.Engine, compat.EngineHNSW, compat.EngineCoder, compat.EngineExact, compat.EngineAuto),
				"m":            integer(r, &w.Index.M, compat.MinM, compat.MaxM),
				"ef_construct": integer(r, &w.Index.EfConstruction, 1, compat.MaxEf),
				"encoding":     oneOf(r, &w.Index.Encoding, compat.EncodingF32, compat.EncodingInt8, compat.EncodingLVQ4x8),
			})
		},
		"search": func() error {
			return fields(r, map[string]func() error{
				"ef": integer(r, &w.Search.Ef, 1, compat.MaxEf), "oversampling": oversampling(r, &w.Search.Oversampling),
			})
		},
		"hnsw_config":     hnswConfig(r, w),
		"sparse_vectors":  absent(r, "there are no sparse vectors here; leave them out"),
		"sharding_method": absent(r, "there are no shards here; leave it out"),
	}
	for _, key := range []string{
		"on_disk_payload", "optimizers_config", "quantization_config", "replication_factor", "shard_number", "wal_config",
		"write_consistency_factor", "strict_mode_config",
	} {
		decoders[key] = r.Skip
	}
	return decoders
}

// embeddingWish reads "embedding".
func embeddingWish(r *strictjson.Reader, w *api.EmbeddingWish) error {
	text := func(p **string) func() error {
		return optional(r, func() error { *p = new(string); return into(*p, r.Str)() })
	}
	err := fields(r, map[string]func() error{
		"model":           into(&w.Model, r.Str),
		"dimensions":      optional(r, integer(r, &w.Dimensions, 1, compat.MaxDimension)),
		"normalize":       optional(r, func() error { w.Normalize = new(bool); return into(w.Normalize, r.Bool)() }),
		"query_prompt":    text(&w.QueryPrompt),
		"document_prompt": text(&w.DocumentPrompt),
		"precision":       optional(r, oneOf(r, &w.Precision, compat.PrecisionF32, compat.PrecisionInt8)),
		"text_field":      optional(r, into(&w.TextField, r.Str)),
	})
	if err == nil && w.Model == "" {
		err = r.Fail("embedding needs a model")
	}
	return err
}

// vectorsWish reads "vectors".
func vectorsWish(r *strictjson.Reader, w *api.Wish) error {
	return r.Object(func(key string) error {
		switch key {
		case "size":
			return integer(r, &w.Vectors.Size, 1, compat.MaxDimension)()
		case "distance":
			var name string
			if err := oneOf(r, &name, "Cosine", "Dot", "Euclid")(); err != nil {
				return err
			}
			w.Vectors.Metric = distances[name]
			return nil
		case "datatype":
			var name string
			return optional(r, oneOf(r, &name, "float32"))()
		case "hnsw_config":
			return hnswConfig(r, w)()
		case "on_disk", "quantization_config":
			return r.Skip()
		case "multivector_config":
			return absent(r, "there are no multivectors here; leave it out")()
		}
		return r.Fail("unknown key %q; vectors have no names here: make one collection for each kind of vector", key)
	})
}

// hnswConfig reads Qdrant's form of "index".
func hnswConfig(r *strictjson.Reader, w *api.Wish) func() error {
	return optional(r, func() error {
		decoders := map[string]func() error{
			"m":            optional(r, integer(r, &w.Index.M, compat.MinM, compat.MaxM)),
			"ef_construct": optional(r, integer(r, &w.Index.EfConstruction, 1, compat.MaxEf)),
		}
		for _, key := range []string{"full_scan_threshold", "max_indexing_threads", "on_disk", "payload_m", "inline_storage"} {
			decoders[key] = r.Skip
		}
		return fields(r, decoders)
	})
}
