package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"encoding/xml"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBench makes data, keeps it in files, and measures the files again.
func TestBench(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	common := []string{"--ef", "10,40", "--rounds", "1", "--passes", "1", "-k", "5", "--json"}
	measure := func(args ...string) benchReport {
		t.Helper()
		status, out, errors := vecino(t, append(append([]string{"bench"}, args...), common...)...)
		var r benchReport
		if err := json.Unmarshal([]byte(out), &r); status != exitOK || err != nil {
			t.Fatalf("%q: status %d, %v, %s", args, status, err, errors)
		}
		return r
	}
	made := measure("--generate", "clustered", "--n", "600", "--queries", "20", "--dim", "16", "--save", dir,
		"--engine", "hnsw,exact,coder", "--encoding", "f32,int8", "--csv", at("a.csv"), "--svg", at("a.svg"),
		"--optimize", "--filter-share", "0.5", "--churn", "0.2", "--open", "--insert-beside", "--at-ef", "20", "--cpuprofile", at("p"))
	if len(made.Builds) != 6 || len(made.Points) != 4*2+1+1 || len(made.Filtered) != 3*6 || len(made.Churn) != 4 || len(made.Reopened) != 6 || made.Builds[1].Name != "hnsw/f32+" || made.Builds[1].OptimizeSeconds == 0 || made.ReadBandwidth == 0 {
		t.Errorf("%+v", made)
	}
	for _, name := range []string{"p-build.prof", "p-search.prof", "base.f32", "query.f32", "gt600.i32"} {
		if info, err := os.Stat(at(name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	svg, err := os.ReadFile(at("a.svg"))
	if err != nil || xml.Unmarshal(svg, new(struct{})) != nil || !bytes.Contains(svg, []byte("hnsw/int8")) {
		t.Errorf("the picture: %v %.200s", err, svg)
	}

	read := measure("--base", at("base.f32"), "--query", at("query.f32"), "--truth", at("gt600.i32"), "--dim", "16", "--graphs", dir, "--peer", at("a.csv"))
	if len(read.Points) != 2 || read.Points[0].Recall != made.Points[0].Recall || read.Points[1].Recall != made.Points[1].Recall {
		t.Errorf("the same vectors from files:\n%+v\nmade:\n%+v", read.Points, made.Points)
	}
	if again := measure("--base", at("base.f32"), "--query", at("query.f32"), "--dim", "16", "--graphs", dir); !again.Builds[0].Loaded || again.Points[1].Recall != read.Points[1].Recall {
		t.Errorf("a kept graph: %+v", again)
	}
	grown := measure("--base", at("base.f32"), "--hold-out", "50", "--dim", "16", "--sizes", "500,200", "--svg", at("growth.svg"), "--threads", "2")
	if len(grown.Builds) != 2 || grown.Builds[0].Vectors != 200 || len(grown.Points) != 4 || grown.Queries != 50 {
		t.Errorf("%+v", grown)
	}
	if _, err := os.Stat(at("growth.svg")); err != nil {
		t.Error(err)
	}
	for _, args := range [][]string{
		{"bench", "--base", at("base.f32"), "--dim", "16", "--hold-out", "20", "--rounds", "1", "--filter-share", "0.1", "--churn", "0.1", "--open", "--engine", "hnsw,exact"},
		{"bench", "--ours", at("a.csv"), "--peer", at("a.csv")},
	} {
		if status, out, errors := vecino(t, args...); status != exitOK || !strings.Contains(out, "┌") {
			t.Errorf("%q: status %d %s %s", args, status, out, errors)
		}
	}
}

// TestBenchPairs: the ratio is the median of the pairs', not that of medians.
func TestBenchPairs(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	line := func(name, qps string) string {
		return name + " n=10 ef=1 recall@10=0.5 qps=" + qps + "\n" + name + " n=10 ef=9 recall@10=1.0 qps=" + qps + "\n"
	}
	var ours, theirs []string
	for i, pair := range [][2]string{{"100", "10"}, {"400", "100"}, {"900", "300"}} { // ratios 10, 4, 3
		id := string(rune('a' + i))
		ours = append(ours, write("o"+id, line("vecino", pair[0])))
		theirs = append(theirs, write("p"+id, line("peer", pair[1])))
	}
	status, out, errors := vecino(t, "bench", "--json", "--ours", strings.Join(ours, ","), "--peer", strings.Join(theirs, ","))
	var got []benchRatio
	if err := json.Unmarshal([]byte(out), &got); status != exitOK || err != nil || len(got) != 3 {
		t.Fatalf("status %d, %v, %s %s", status, err, out, errors)
	}
	if r := got[1]; r.Name != "vecino" || r.Peer != "peer" || r.What != "queries/s at recall 0.95" || r.Ratio != 4 || r.Low != 3 || r.High != 10 || r.Pairs != 3 {
		t.Errorf("%+v", r)
	}
}

func TestBenchUsage(t *testing.T) {
	for _, args := range [][]string{
		{},
		{"--generate", "clustered"},
		{"--generate", "waves", "--dim", "3"},
		{"--generate", "clustered", "--dim", "3", "--base", "x.f32"},
		{"--generate", "clustered", "--dim", "3", "--n", "-1"},
		{"--generate", "clustered", "--dim", "3", "--engine", "none"},
		{"--generate", "clustered", "--dim", "3", "--encoding", "f8"},
		{"--generate", "clustered", "--dim", "3", "--ef", "0"},
		{"--generate", "clustered", "--dim", "3", "--m", "1"},
		{"--generate", "clustered", "--dim", "3", "--filter-share", "2"},
		{"--generate", "clustered", "--dim", "3", "--churn", "-1"},
		{"--generate", "clustered", "--dim", "3", "--rounds", "0"},
		{"--generate", "clustered", "--dim", "3", "--metric", "l1"},
		{"--ours", "a"},
	} {
		if status, _, errors := vecino(t, append([]string{"bench"}, args...)...); status != exitUsage || errors == "" {
			t.Errorf("%q: status %d, %s", args, status, errors)
		}
	}
	file := filepath.Join(t.TempDir(), "zero.f32")
	if err := os.WriteFile(file, make([]byte, 400), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--base", "/does/not/exist.npy"}, {"--base", file, "--dim", "10", "--hold-out", "2"}, {"--base", file, "--dim", "7"}} {
		if status, _, errors := vecino(t, append([]string{"bench"}, args...)...); status != exitFailed || errors == "" {
			t.Errorf("%q: status %d, %s", args, status, errors)
		}
	}
}

// ending is a writer that ends a context when it sees a word.
type ending struct {
	word   string
	cancel context.CancelFunc
	bytes.Buffer
}

func (e *ending) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(e.word)) {
		e.cancel()
	}
	return e.Buffer.Write(p)
}

// TestBenchInterrupted: what was measured before Ctrl-C is printed and written.
func TestBenchInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	csv := filepath.Join(t.TempDir(), "a.csv")
	var stdout bytes.Buffer
	stderr := &ending{word: "round 2", cancel: cancel}
	status := run(ctx, []string{"bench", "--generate", "clustered", "--n", "300", "--dim", "8", "--ef", "10,20", "--csv", csv}, strings.NewReader(""), &stdout, stderr)
	if status != exitFailed || !strings.Contains(stdout.String(), "RECALL@10") || !strings.Contains(stderr.String(), context.Canceled.Error()) {
		t.Errorf("status %d, %s %s", status, stdout.String(), stderr.String())
	}
	if data, err := os.ReadFile(csv); err != nil || strings.Count(string(data), "\n") != 3 {
		t.Errorf("%v %s", err, data)
	}
}

// TestBenchMetrics measures bytes by distance, from a file whose rows are framed.
func TestBenchMetrics(t *testing.T) {
	var file bytes.Buffer
	for i := range 200 {
		if err := errors.Join(binary.Write(&file, binary.LittleEndian, int32(4)), binary.Write(&file, binary.LittleEndian, []byte{byte(i), byte(i * i), 7, byte(i * 3)})); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "x.bvecs")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, metric := range []string{"l2", "dot", "cosine"} {
		status, out, errors := vecino(t, "bench", "--base", path, "--hold-out", "10", "--metric", metric, "--engine", "exact", "--json", "--rounds", "1")
		var r benchReport
		if err := json.Unmarshal([]byte(out), &r); err != nil || status != exitOK || r.Points[0].Recall != 1 {
			t.Errorf("%s: status %d, %v %s %s", metric, status, err, out, errors)
		}
	}
}
