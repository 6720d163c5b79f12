package httpapi

import (
	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/store"
)

// configOf is a collection's configuration as CollectionInfo of Qdrant's
// OpenAPI has it, every member that its schema requires, so that generated
// clients can read it; then our own. What exists here has its true value, what
// doesn't the value that stands for nothing.
func configOf(m compat.Manifest, d store.Description) map[string]any {
	return map[string]any{
		"params": map[string]any{
			"vectors":      map[string]any{"size": m.Space.Dimension, "distance": distanceOf(m.Metric)},
			"shard_number": 1, "replication_factor": 1, "write_consistency_factor": 1, "on_disk_payload": true,
		},
		"hnsw_config": map[string]any{"m": m.Index.M, "ef_construct": m.Index.EfConstruction, "full_scan_threshold": fullScanKilobytes(m, d), "max_indexing_threads": 0, "on_disk": false},
		"optimizer_config": map[string]any{
			// When index.Stats.Crowded asks an engine to compact.
			"deleted_threshold": 0.3, "vacuum_min_vector_number": 1024,
			"default_segment_number": 1, // a collection has one index
			"flush_interval_sec":     0, // a write is on the disk when it is answered
			"max_segment_size":       nil, "memmap_threshold": nil, "indexing_threshold": nil, "max_optimization_threads": nil,
		},
		// One log for all collections, begun anew with each memtable.
		"wal_config":          map[string]any{"wal_capacity_mb": 32, "wal_segments_ahead": 0},
		"quantization_config": nil,
		"index":               m.Index,
		"search":              m.Search,
	}
}

// fullScanKilobytes is the size of vectors up to which a search looks at each of
// them: package hnsw scans what is less than 1.25 ef M vectors, package exact
// everything, and package auto does until it has a graph.
func fullScanKilobytes(m compat.Manifest, d store.Description) int {
	vectors := 0
	switch m.Index.Engine {
	case compat.EngineHNSW:
		vectors = m.Search.Ef * m.Index.M * 5 / 4
	case compat.EngineExact:
		vectors = d.Points
	case compat.EngineAuto:
		if vectors = d.Points; d.Index.Levels > 0 {
			vectors = m.Search.Ef * m.Index.M * 5 / 4
		}
	}
	return (vectors*m.Space.Dimension*4 + 1023) / 1024
}
