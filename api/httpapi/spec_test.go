package httpapi

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/api/strictjson"
	"github.com/vecino-db/vecino/store"
)

// TestDocument: the document is valid OpenAPI 3.1.
func TestDocument(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(specYAML)
	if err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("version %s", doc.OpenAPI)
	}
	if err := doc.Validate(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestEveryRouteStandsInTheDocument compares the router's table with it.
func TestEveryRouteStandsInTheDocument(t *testing.T) {
	operations, err := loadSpec()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, op := range operations {
		want[op.route.Method+" "+op.echoPath()] = true
		if len(op.route.Operation.Tags) == 0 || op.route.Operation.Summary == "" || op.route.Operation.Responses.Default() == nil {
			t.Errorf("%s lacks a tag, a summary or a default answer", op.id)
		}
	}
	opened, err := store.Open(context.Background(), store.Options{Dir: t.TempDir(), Create: true, MinFreeBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	service, err := api.New(context.Background(), api.Options{Store: opened})
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close(context.Background())
	s, err := New(Options{Service: service})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range s.echo.Routes() {
		if r.Method == echo.RouteNotFound {
			continue
		}
		if !want[r.Method+" "+r.Path] {
			t.Errorf("the route %s %s does not stand in openapi.yaml", r.Method, r.Path)
		}
		delete(want, r.Method+" "+r.Path)
	}
	for route := range want {
		t.Errorf("openapi.yaml has %s, and the router doesn't", route)
	}
}

// decoders are those of the operations that are decoded by hand, and of the
// others too: the document and the decoder must agree on all of them.
func decoders() map[string]func([]byte) error {
	return map[string]func([]byte) error{
		"createCollection":    func(b []byte) error { _, err := decodeWish(b); return err },
		"adoptManifest":       func(b []byte) error { _, err := decodeAdopt(b); return err },
		"upsertPoints":        func(b []byte) error { _, err := decodeUpsert(b); return err },
		"getPoints":           func(b []byte) error { _, err := decodeGet(b); return err },
		"deletePoints":        func(b []byte) error { _, _, err := decodeDelete(b); return err },
		"scrollPoints":        func(b []byte) error { _, _, err := decodeScroll(b); return err },
		"queryPoints":         func(b []byte) error { _, err := decodeQuery(b, queryOf); return err },
		"searchPoints":        func(b []byte) error { _, err := decodeQuery(b, searchOf); return err },
		"queryBatchPoints":    func(b []byte) error { _, err := decodeQueries(b, queryOf); return err },
		"measureRecall":       func(b []byte) error { _, err := decodeRecall(b); return err },
		"startMigration":      func(b []byte) error { _, err := decodeMigration(b); return err },
		"trainModel":          func(b []byte) error { _, err := decodeTraining(b); return err },
		"updateMigration":     func(b []byte) error { _, err := decodeMigrationUpdate(b); return err },
		"createEmbeddings":    func(b []byte) error { _, err := decodeEmbeddings(b); return err },
		"queryGroups":         func(b []byte) error { _, err := decodeGroups(b); return err },
		"updateAliases":       func(b []byte) error { _, err := decodeAliases(b); return err },
		"setPayload":          func(b []byte) error { _, _, err := decodePayloadEdit(b, api.PayloadSet); return err },
		"overwritePayload":    func(b []byte) error { _, _, err := decodePayloadEdit(b, api.PayloadOverwrite); return err },
		"deletePayload":       func(b []byte) error { _, _, err := decodePayloadEdit(b, api.PayloadDelete); return err },
		"clearPayload":        func(b []byte) error { _, _, err := decodePayloadEdit(b, api.PayloadClear); return err },
		"createPayloadIndex":  func(b []byte) error { _, err := decodePayloadIndex(b); return err },
		"recoverFromSnapshot": func(b []byte) error { _, _, err := decodeRecover(b); return err },
	}
}

// samples are bodies with the verdict that document and decoder must share.
var samples = []struct {
	operation, body string
	good            bool
}{
	{"createCollection", `{}`, true},
	{"createCollection", `{"embedding":{"model":"builtin:hash","dimensions":64,"normalize":true,"query_prompt":null,"text_field":"content"}}`, true},
	{"createCollection", `{"vectors":{"size":4,"distance":"Dot","on_disk":true,"hnsw_config":{"m":16,"payload_m":null},"datatype":"float32"},"hnsw_config":{"ef_construct":100},"shard_number":1,"replication_factor":2,"on_disk_payload":true,"optimizers_config":{"a":1},"sparse_vectors":null}`, true},
	{"createCollection", `{"vectors":{"size":4},"index":{"engine":"auto","encoding":"lvq4x8"}}`, true},
	{"createCollection", `{"vectors":{"size":4},"index":{"engine":"ivf"}}`, false},
	{"createCollection", `{"vectors":{"size":0}}`, false},
	{"createCollection", `{"vectors":{"a":{"size":1}}}`, false},
	{"createCollection", `{"index":{"m":1}}`, false},
	{"createCollection", `{"embedding":{}}`, false},
	{"createCollection", `{"sparse_vectors":{}}`, false},
	{"createCollection", `{"search":{"ef":0}}`, false},
	{"createCollection", `{"search":{"ef":64,"oversampling":2.5}}`, true},
	{"createCollection", `{"search":{"oversampling":0.5}}`, false},
	{"createCollection", `{"search":{"oversampling":101}}`, false},
	{"startMigration", `{"auto":true,"require_card":true,"search":{"oversampling":2}}`, true},
	{"startMigration", `{"require_card":null}`, true},
	{"startMigration", `{"require_card":1}`, false},
	{"createCollection", `{"x":1}`, false},
	{"createCollection", `{"vectors":{"size":4,"distance":"Manhattan"}}`, false},
	{"adoptManifest", `{"embedding":{"model":"builtin:hash","dimensions":64,"text_field":"content"},"sample":10000,"dry_run":true}`, true},
	{"adoptManifest", `{"embedding":{"model":"builtin:hash"},"sample":null,"dry_run":null}`, true},
	{"adoptManifest", `{"embedding":{"model":"builtin:hash"},"sample":10}`, true},
	{"adoptManifest", `{}`, false},
	{"adoptManifest", `{"embedding":null}`, false},
	{"adoptManifest", `{"embedding":{"dimensions":64}}`, false},
	{"adoptManifest", `{"embedding":{"model":"builtin:hash"},"sample":0}`, false},
	{"adoptManifest", `{"embedding":{"model":"builtin:hash"},"sample":9}`, false},
	{"adoptManifest", `{"embedding":{"model":"builtin:hash"},"sample":10001}`, false},
	{"adoptManifest", `{"embedding":{"model":"builtin:hash"},"index":{}}`, false},
	{"upsertPoints", `{"points":[]}`, true},
	{"upsertPoints", `{"points":[{"id":1,"text":"a","payload":null},{"id":"x","vector":[1,2e3]},{"id":2,"vector":{"text":"a","model":null}}],"shard_key":null}`, true},
	{"upsertPoints", `{"batch":{"ids":[1,"b"],"vectors":[[1],{"text":"x"}],"payloads":[{},null]}}`, true},
	{"upsertPoints", `{"batch":{"ids":[],"vectors":[],"payloads":null}}`, true},
	{"upsertPoints", `{}`, false},
	{"upsertPoints", `{"points":[{"text":"a"}]}`, false},
	{"upsertPoints", `{"points":[{"id":-1,"text":"a"}]}`, false},
	{"upsertPoints", `{"points":[{"id":"","text":"a"}]}`, false},
	{"upsertPoints", `{"points":[{"id":1,"vector":[]}]}`, false},
	{"upsertPoints", `{"points":[{"id":1,"vector":[null]}]}`, false},
	{"upsertPoints", `{"points":[{"id":1,"vector":"a"}]}`, false},
	{"upsertPoints", `{"points":[{"id":1,"text":"a","payload":[]}]}`, false},
	{"upsertPoints", `{"points":[],"batch":{"ids":[],"vectors":[]}}`, false},
	{"upsertPoints", `{"points":[{"id":1,"text":"a","Payload":{}}]}`, false},
	{"upsertPoints", `{"points":[],"shard_key":"a"}`, false},
	{"getPoints", `{"ids":[1,"a"],"with_payload":["a"],"with_vector":true}`, true},
	{"getPoints", `{"ids":[],"with_payload":{"include":["a.b"]}}`, true},
	{"getPoints", `{}`, false},
	{"getPoints", `{"ids":[1.5]}`, false},
	{"getPoints", `{"ids":[1],"with_vector":["a"]}`, false},
	{"scrollPoints", `{"with_vector":[]}`, true},
	{"queryPoints", `{"query":1,"with_vector":["a"]}`, false},
	{"trainModel", `{}`, true},
	{"trainModel", `{"base":"builtin:static","name":"a","title":null,"seed":7,"pairs":[{"query":"a","document":"b"}],"judgements":null,"migrate":true}`, true},
	{"trainModel", `{"pairs":[{"query":"a"}]}`, false},
	{"trainModel", `{"pairs":[{"query":"","document":"b"}]}`, false},
	{"trainModel", `{"queries":[]}`, false},
	{"trainModel", `{"seed":-1}`, false},
	{"deletePoints", `{"points":[1],"dry_run":true}`, true},
	{"deletePoints", `{"filter":{"must":[]}}`, true},
	{"deletePoints", `{"points":1}`, false},
	{"deletePoints", `{"filter":[]}`, false},
	{"updateAliases", `{"actions":[{"create_alias":{"collection_name":"a","alias_name":"b"}},{"delete_alias":{"alias_name":"b"}},{"rename_alias":{"old_alias_name":"a","new_alias_name":"b"}}]}`, true},
	{"updateAliases", `{"actions":[]}`, true},
	{"queryGroups", `{"query":[1],"group_by":"a.b[]","group_size":2,"limit":3,"filter":null,"with_payload":true,"with_lookup":null}`, true},
	{"queryGroups", `{"query":{"text":"a"},"group_by":"a"}`, true},
	{"queryGroups", `{"group_by":"a"}`, false},
	{"queryGroups", `{"query":1}`, false},
	{"queryGroups", `{"query":1,"group_by":""}`, false},
	{"queryGroups", `{"query":1,"group_by":"a","group_size":0}`, false},
	{"queryGroups", `{"query":1,"group_by":"a","limit":1001}`, false},
	{"queryGroups", `{"query":1,"group_by":"a","offset":1}`, false},
	{"updateAliases", `{"actions":[{}]}`, false},
	{"updateAliases", `{"actions":[{"create_alias":{"alias_name":"b"}}]}`, false},
	{"updateAliases", `{"actions":[{"delete_alias":{"alias_name":""}}]}`, false},
	{"updateAliases", `{}`, false},
	{"setPayload", `{"payload":{"a":1},"points":[1,"b"],"key":"a.b[]","filter":null,"shard_key":null}`, true},
	{"setPayload", `{"payload":{},"filter":{"must":[]},"points":null}`, true},
	{"setPayload", `{"points":[1]}`, false},
	{"setPayload", `{"payload":[],"points":[1]}`, false},
	{"setPayload", `{"payload":{},"points":[1],"key":""}`, false},
	{"setPayload", `{"payload":{},"points":[1],"keys":[]}`, false},
	{"overwritePayload", `{"payload":{"a":1},"points":[1]}`, true},
	{"overwritePayload", `{"payload":{"a":1},"points":[1],"key":"a"}`, false},
	{"deletePayload", `{"keys":["a","b[].c"],"filter":{}}`, true},
	{"deletePayload", `{"keys":[],"points":[]}`, true},
	{"deletePayload", `{"keys":"a","points":[]}`, false},
	{"deletePayload", `{"points":[1]}`, false},
	{"clearPayload", `{"points":[1]}`, true},
	{"clearPayload", `{"points":[1],"keys":[]}`, false},
	{"createPayloadIndex", `{"field_name":"a.b[].c","field_schema":"keyword"}`, true},
	{"createPayloadIndex", `{"field_name":"a","field_schema":{"type":"text","tokenizer":"word","lowercase":true,"min_token_len":null,"on_disk":false}}`, true},
	{"createPayloadIndex", `{"field_name":"a","field_schema":{"type":"integer","lookup":true,"range":false,"is_principal":true}}`, true},
	{"createPayloadIndex", `{"field_name":"a","field_schema":"geo"}`, false},
	{"createPayloadIndex", `{"field_name":"a","field_schema":{"type":"text","tokenizer":"prefix"}}`, false},
	{"createPayloadIndex", `{"field_name":"a","field_schema":{"type":"text","lowercase":false}}`, false},
	{"createPayloadIndex", `{"field_name":"a","field_schema":{"tokenizer":"word"}}`, false},
	{"createPayloadIndex", `{"field_name":"a","field_schema":null}`, false},
	{"createPayloadIndex", `{"field_schema":"bool"}`, false},
	{"createPayloadIndex", `{"field_name":"a","field_schema":"bool","x":1}`, false},
	{"scrollPoints", `{}`, true},
	{"scrollPoints", `{"offset":null,"limit":null,"filter":null,"with_payload":null,"order_by":null}`, true},
	{"scrollPoints", `{"offset":"a","limit":65536}`, true},
	{"scrollPoints", `{"limit":65537}`, false},
	{"scrollPoints", `{"limit":0}`, false},
	{"scrollPoints", `{"order_by":"a"}`, false},
	{"queryPoints", `{"query":[1,2],"limit":3,"offset":0,"filter":{},"params":{"hnsw_ef":8,"exact":true,"quantization":{},"indexed_only":false},"score_threshold":0.5,"with_payload":{"exclude":[]},"with_vector":false,"using":null,"prefetch":null}`, true},
	{"queryPoints", `{"query":7,"params":{"quantization":{"rescore":true,"oversampling":2.5,"ignore":false}}}`, true},
	{"queryPoints", `{"query":7,"params":{"quantization":{"rescore":null,"oversampling":null,"ignore":null}}}`, true},
	{"queryPoints", `{"query":7,"params":{"quantization":null}}`, true},
	{"queryPoints", `{"query":7,"params":{"quantization":{"oversampling":0.5}}}`, false},
	{"queryPoints", `{"query":7,"params":{"quantization":{"oversampling":101}}}`, false},
	{"queryPoints", `{"query":7,"params":{"quantization":{"rescore":1}}}`, false},
	{"queryPoints", `{"query":7,"params":{"quantization":{"x":true}}}`, false},
	{"queryPoints", `{"query":7,"params":{"quantization":true}}`, false},
	{"queryPoints", `{"query":{"text":"a","model":"m"}}`, true},
	{"queryPoints", `{"query":{"nearest":"a"}}`, true},
	{"queryPoints", `{"query":{"nearest":{"text":"a"}}}`, true},
	{"queryPoints", `{"query":7}`, true},
	{"queryPoints", `{"query":"a"}`, true},
	{"queryPoints", `{}`, true},
	{"queryPoints", `{"limit":3,"offset":1,"filter":{},"with_vector":[]}`, true},
	{"queryPoints", `{"query":{}}`, false},
	{"queryPoints", `{"query":null}`, true},
	{"queryPoints", `{"query":{"text":"a","x":1}}`, false},
	{"queryPoints", `{"query":7,"offset":1000001}`, false},
	{"queryPoints", `{"query":7,"params":{"ef":1}}`, false},
	{"queryPoints", `{"query":{"recommend":{}}}`, false},
	{"queryPoints", `{"query":7,"using":"a"}`, false},
	{"searchPoints", `{"vector":[1],"limit":10,"offset":0,"with_payload":true,"with_vector":false}`, true},
	{"searchPoints", `{"vector":{"text":"a"}}`, true},
	{"searchPoints", `{"vector":1}`, false},
	{"searchPoints", `{"vector":{"name":"v","vector":[1]}}`, false},
	{"searchPoints", `{}`, false},
	{"queryBatchPoints", `{"searches":[{"query":1},{"query":[1]}]}`, true},
	{"queryBatchPoints", `{"searches":[{}]}`, true},
	{"queryBatchPoints", `{}`, false},
	{"measureRecall", `{}`, true},
	{"measureRecall", `{"k":10,"sample":200,"ef":64,"seed":7,"keep":true,"queries":[[1,2],{"text":"a"},7]}`, true},
	{"measureRecall", `{"k":null,"sample":null,"ef":null,"seed":null,"keep":null,"queries":null}`, true},
	{"measureRecall", `{"k":0}`, false},
	{"measureRecall", `{"k":1001}`, false},
	{"measureRecall", `{"sample":10001}`, false},
	{"measureRecall", `{"queries":[{}]}`, false},
	{"measureRecall", `{"x":1}`, false},
	{"createEmbeddings", `{"model":"m","input":"a","dimensions":null,"encoding_format":"base64","input_type":"query","truncate":false,"user":"u"}`, true},
	{"createEmbeddings", `{"model":"m","input":["a","b"]}`, true},
	{"recoverFromSnapshot", `{"location":"a.snapshot","priority":"replica","checksum":null,"api_key":null}`, true},
	{"recoverFromSnapshot", `{"location":"a.snapshot","priority":null}`, true},
	{"recoverFromSnapshot", `{"priority":"snapshot"}`, false},
	{"recoverFromSnapshot", `{"location":"a.snapshot","priority":"none"}`, false},
	{"recoverFromSnapshot", `{"location":"a.snapshot","api_key":"x"}`, false},
	{"recoverFromSnapshot", `{"location":1}`, false},
	{"updateMigration", `{}`, true},
	{"updateMigration", `{"shadow":0.5,"canary":null,"limits":{"tokens_per_second":0,"cpus":0.5,"batch":4096}}`, true},
	{"updateMigration", `{"limits":{"tokens_per_second":null,"cpus":0,"batch":0}}`, true},
	{"updateMigration", `{"limits":null}`, true},
	{"updateMigration", `{"limits":{"tokens_per_second":-1}}`, false},
	{"updateMigration", `{"limits":{"batch":4097}}`, false},
	{"updateMigration", `{"limits":{"tokens":1}}`, false},
	{"updateMigration", `{"limits":7}`, false},
	{"updateMigration", `{"auto":true}`, false},
	{"createEmbeddings", `{"model":"m","input":[]}`, false},
	{"createEmbeddings", `{"model":"m","input":{}}`, false},
	{"createEmbeddings", `{"input":"a"}`, false},
	{"createEmbeddings", `{"model":"m","input":"a","encoding_format":"hex"}`, false},
	{"createEmbeddings", `{"model":"m","input":"a","dimensions":0}`, false},
}

// TestDecodersAgreeWithTheDocument: what is decoded by hand is what the
// document says.
func TestDecodersAgreeWithTheDocument(t *testing.T) {
	operations, err := loadSpec()
	if err != nil {
		t.Fatal(err)
	}
	byID := map[string]operation{}
	for _, op := range operations {
		byID[op.id] = op
	}
	for _, s := range samples {
		var document any
		if err := json.Unmarshal([]byte(s.body), &document); err != nil {
			t.Fatal(err)
		}
		if err := byID[s.operation].checkBody(document); (err == nil) != s.good {
			t.Errorf("%s %s: the document's verdict is %v, want good %v", s.operation, s.body, err, s.good)
		}
		if err := decoders()[s.operation]([]byte(s.body)); (err == nil) != s.good {
			t.Errorf("%s %s: the decoder's verdict is %v, want good %v", s.operation, s.body, err, s.good)
		}
	}
}

// FuzzDecoders: no body makes a decoder panic, and what one accepts is strict
// JSON.
func FuzzDecoders(f *testing.F) {
	for _, s := range samples {
		f.Add([]byte(s.body))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for name, decode := range decoders() {
			if decode(data) == nil && strictjson.Check(data) != nil {
				t.Errorf("%s accepts what is no strict JSON: %q", name, data)
			}
		}
	})
}
