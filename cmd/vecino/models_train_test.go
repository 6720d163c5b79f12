package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fieldTexts are texts of subjects whose words go together only there.
func fieldTexts(n int) string {
	words := strings.Fields("apple river stone window garden letter engine mirror copper yellow silver paper winter bridge candle button pocket forest island market school doctor soldier kitchen basket blanket hammer ladder needle ribbon saddle ticket tunnel valley violin wallet whistle anchor barrel camera")
	r := rand.New(rand.NewPCG(1, 2))
	r.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	var b strings.Builder
	for i := range n {
		topic := words[i%8*5 : i%8*5+5]
		say := func() string { return fmt.Sprintf("The %s is near the %s.", topic[r.IntN(5)], topic[r.IntN(5)]) }
		fmt.Fprintf(&b, "{\"id\":%d,\"text\":\"%s %s Number %d.\",\"payload\":{\"name\":\"%s and %s\"}}\n", i+1, say(), say(), i, topic[r.IntN(5)], topic[r.IntN(5)])
	}
	return b.String()
}

// TestModelsTrain trains on a collection of a stopped store, and opens what is
// installed: as it is named, and for a collection of its own.
func TestModelsTrain(t *testing.T) {
	data, models := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "models")
	var stdout, stderr strings.Builder
	if status := run(t.Context(), []string{"ingest", "-c", "notes", "--data", data, "-"}, strings.NewReader(fieldTexts(320)), &stdout, &stderr); status != exitOK {
		t.Fatal(status, stderr.String())
	}
	train := []string{"models", "train", "-c", "notes", "--data", data, "--models", models, "--title", "name"}
	status, out, errors := vecino(t, append(train, "--json")...)
	var got trained
	if err := json.Unmarshal([]byte(out), &got); err != nil || status != exitOK {
		t.Fatalf("status %d, %v, %s %s", status, err, out, errors)
	}
	if got.Model != "local:notes-adapted" || got.Documents != 320 || got.Report.After.Reciprocal <= got.Report.Before.Reciprocal || got.NextSteps != "vecino migrate plan -c notes --model local:notes-adapted" {
		t.Errorf("%+v", got)
	}
	card, err := os.ReadFile(filepath.Join(models, "notes-adapted", "README.md"))
	if err != nil || !strings.Contains(string(card), "| documents | 320,") {
		t.Errorf("card: %v\n%s", err, card)
	}
	// The name's vectors never change.
	if status, _, errors := vecino(t, train...); status != exitFailed || !strings.Contains(errors, "--name") {
		t.Errorf("the same name again: status %d, %s", status, errors)
	}
	// builtin:blend was its base, so it has the lexical half too.
	status, out, errors = vecino(t, "models", "inspect", "local:notes-adapted", "--models", models, "--json")
	var found inspection
	if err := json.Unmarshal([]byte(out), &found); err != nil || status != exitOK || found.Space.Encoder != "blend/1" || found.Space.Dimension != 768 {
		t.Errorf("status %d, %v, %s %s", status, err, out, errors)
	}
	// An adapted model is a base again; the halves stay as they are.
	status, out, errors = vecino(t, append(train, "--base", "builtin:static", "--name", "plain")...)
	if status != exitOK || !strings.Contains(out, "vecino migrate plan -c notes --model local:plain") || !strings.Contains(out, "found first") {
		t.Errorf("status %d, %s %s", status, out, errors)
	}
	status, out, _ = vecino(t, "models", "inspect", "local:plain", "--models", models, "--json")
	if err := json.Unmarshal([]byte(out), &found); err != nil || status != exitOK || found.Space.Encoder != "static/1" || found.Space.Dimension != 256 {
		t.Errorf("status %d, %v, %s", status, err, out)
	}
}

// TestModelsTrainMigrates goes from the training to the cut-over in one job.
func TestModelsTrainMigrates(t *testing.T) {
	data, models := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "models")
	var stdout, stderr strings.Builder
	if status := run(t.Context(), []string{"ingest", "-c", "notes", "--data", data, "-"}, strings.NewReader(fieldTexts(320)), &stdout, &stderr); status != exitOK {
		t.Fatal(status, stderr.String())
	}
	train := []string{"models", "train", "-c", "notes", "--data", data, "--models", models, "--title", "name", "--migrate"}
	status, out, errors := vecino(t, train...)
	if status != exitOK || !strings.Contains(out, "rollback_window") || !strings.Contains(out, "found first") || !strings.Contains(out, "vecino migrate commit -c notes") || !strings.Contains(errors, "training") {
		t.Errorf("status %d, %s %s", status, out, errors)
	}
	if status, out, errors = vecino(t, "manifest", "show", "-c", "notes", "--data", data, "--models", models); status != exitOK || !strings.Contains(out, "local:notes-adapted") {
		t.Errorf("status %d, %s %s", status, out, errors)
	}
	if status, _, errors := vecino(t, train...); status != exitFailed || !strings.Contains(errors, "another name") {
		t.Errorf("the same name again: status %d, %s", status, errors)
	}
	if status, _, _ := vecino(t, "models", "train", "-c", "notes", "--data", data, "--qrels", "x"); status != exitUsage {
		t.Errorf("--qrels alone: status %d", status)
	}
}

// TestInspectScripts: texts in other scripts are told apart by what the
// built-in models know of them.
func TestInspectScripts(t *testing.T) {
	texts := filepath.Join(t.TempDir(), "texts.txt")
	if err := os.WriteFile(texts, []byte("The boundary layer separates.\nПривет, мир\n東京\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, model := range []string{"builtin:static", "builtin:blend"} {
		status, out, errors := vecino(t, "models", "inspect", model, "--texts", texts, "--json")
		var found inspection
		if err := json.Unmarshal([]byte(out), &found); err != nil || status != exitOK || found.Texts == nil {
			t.Fatalf("%s: status %d, %v, %s", model, status, err, errors)
		}
		if s := *found.Texts; s.Texts != 3 || s.Empty != 2 || s.Unknown != 4 || s.Tokens != 8 {
			t.Errorf("%s: %+v", model, s)
		}
	}
}

func TestModelsTrainRefuses(t *testing.T) {
	data, models := filepath.Join(t.TempDir(), "data"), t.TempDir()
	var stdout, stderr strings.Builder
	if status := run(t.Context(), []string{"ingest", "-c", "few", "--data", data, "-"}, strings.NewReader(fieldTexts(20)), &stdout, &stderr); status != exitOK {
		t.Fatal(status, stderr.String())
	}
	pairs := filepath.Join(t.TempDir(), "pairs.tsv")
	if err := os.WriteFile(pairs, []byte("a question\tits answer\n\nno tab here\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	base := []string{"models", "train", "-c", "few", "--data", data, "--models", models}
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{nil, exitFailed, "too few documents"},
		{[]string{"--pairs", pairs}, exitUsage, "line 3"},
		{[]string{"--base", "builtin:hash"}, exitUsage, "builtin:static"},
		{[]string{"--base", "local:none"}, exitFailed, "--base local:none"},
		{[]string{"--name", "../x"}, exitUsage, "none for a model"},
	} {
		if status, _, errors := vecino(t, append(base, c.args...)...); status != c.status || !strings.Contains(errors, c.says) {
			t.Errorf("%q: status %d, %s", c.args, status, errors)
		}
	}
	if left, err := os.ReadDir(models); err != nil || len(left) > 0 {
		t.Errorf("left in the directory of models: %v %v", left, err)
	}
}
