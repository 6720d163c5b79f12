package house

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// rules by name.
var rules = map[string]func(*tree) []string{
	"imports":       checkImports,
	"package docs":  checkPackageDocs,
	"exported docs": checkExportedDocs,
	"sizes":         func(t *tree) []string { return checkSizes(t, exceptions) },
	"names":         checkNames,
	"init":          checkInit,
	"globals":       checkGlobals,
	"words":         checkWords,
	"layout":        checkLayout,
	"notice":        checkNotice,
}

// TestHouse holds the repository against every rule.
func TestHouse(t *testing.T) {
	tree, err := readTree(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.files) < 20 {
		t.Fatalf("only %d Go files: this is not the repository", len(tree.files))
	}
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		t.Run(name, func(t *testing.T) { report(t, rules[name](tree)) })
	}
}

// sound is a small tree that keeps every rule.
func sound() fstest.MapFS {
	m := fstest.MapFS{
		"store/doc.go":      file("// Package store keeps.\npackage store\n"),
		"store/store.go":    file("package store\n\nimport _ \"github.com/cockroachdb/pebble/v2\"\n\n// Open opens.\nfunc Open() {}\n"),
		"cmd/vecino/x.go":   file("// Command vecino is it.\npackage main\n\nfunc main() {}\n"),
		"go.mod":            file("module " + modulePath + "\n\nrequire github.com/cockroachdb/pebble/v2 v2.1.7\n"),
		"NOTICE":            file("github.com/cockroachdb/pebble/v2 BSD\n"),
		"CHANGELOG.md":      file("# Changes\n\n## 0.1.0\n"),
		"kernels/_gen/x.go": file("package main\n\nfunc init() {}\n"),
	}
	for _, name := range wanted {
		if _, ok := m[name]; !ok {
			m[name+map[bool]string{true: "", false: "/keep"}[strings.Contains(name, ".") || name == "LICENSE"]] = file("x\n")
		}
	}
	return m
}

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

// lines is n lines of text.
func lines(n int, line string) string { return strings.Repeat(line+"\n", n) }

// TestRulesBite breaks each rule in a small tree and wants it, and it alone,
// to say so.
func TestRulesBite(t *testing.T) {
	ours := `"` + modulePath
	for _, c := range []struct {
		rule, path, text, want string
	}{
		{"", "compat/a.go", "// Package compat is.\npackage compat\n", ""},
		{"imports", "compat/a.go", "// Package compat is.\npackage compat\n\nimport _ " + ours + "/store\"\n", "compat/a.go:4: must not import " + modulePath + "/store: compat is pure logic"},
		{"imports", "kernels/f32/a.go", "// Package f32 is.\npackage f32\n\nimport _ " + ours + "/compat\"\n", "kernels are arithmetic"},
		{"imports", "store/a.go", "package store\n\nimport _ " + ours + "/embed\"\n", "never texts to encode"},
		{"imports", "api/a.go", "// Package api is.\npackage api\n\nimport _ " + ours + "/index/hnsw\"\n", "bypass the manifest"},
		{"", "api/a.go", "// Package api is.\npackage api\n\nimport _ " + ours + "/index/filter\"\n", ""},
		{"imports", "index/filter/a.go", "// Package filter is.\npackage filter\n\nimport _ " + ours + "/compat\"\n", "pure logic that any part may share"},
		{"imports", "docs/elsewhere/a.go", "// Package elsewhere is.\npackage elsewhere\n\nimport _ " + ours + "/compat\"\n", "no layer"},
		{"imports", "api/a.go", "// Package api is.\npackage api\n\nimport _ \"github.com/cockroachdb/pebble/v2\"\n", "kept on disk"},
		{"imports", "api/a_test.go", "package api\n\nimport _ \"github.com/cockroachdb/pebble/v2/vfs\"\n", "kept on disk"},
		{"imports", "store/a.go", "package store\n\nimport _ \"net/http\"\n", "no network"},
		{"", "store/a_test.go", "package store\n\nimport _ \"net/http\"\n", ""},
		{"imports", "store/a.go", "package store\n\nimport _ \"testing\"\n", "kept out of the program"},
		{"imports", "store/a.go", "package store\n\nimport _ \"math/rand\"\n", "math/rand/v2"},
		{"", "store/a.go", "package store\n\nimport _ \"math/rand/v2\"\n", ""},
		{"imports", "cmd/vecino/a.go", "package main\n\nimport _ " + ours + "/index/indextest\"\n", "for tests"},
		{"package docs", "api/a.go", "package api\n", "api: the package has no comment"},
		{"package docs", "api/a.go", "// Something else.\npackage api\n", "api: the package has no comment"},
		{"exported docs", "store/a.go", "package store\n\nfunc Close() {}\n", "store/a.go:3: Close"},
		{"exported docs", "store/a.go", "package store\n\ntype Store struct{}\n", "Store is exported"},
		{"exported docs", "store/a.go", "package store\n\n// S.\ntype S[T any] struct{}\n\nfunc (s *S[T]) Get() {}\n", "Get is exported"},
		{"exported docs", "store/a.go", "package store\n\nvar ErrX error\n", "ErrX is exported"},
		{"", "store/a.go", "package store\n\n// All.\nvar (\n\tErrX error\n)\n\ntype s struct{}\n\nfunc (s) Get() {}\n", ""},
		{"sizes", "store/a.go", "package store\n" + lines(600, ""), "601 lines, over 600"},
		{"sizes", "store/a.go", "package store\n\nfunc f() {\n" + lines(79, "") + "}\n", "f has 81 lines"},
		{"", "store/a.go", "package store\n\nfunc f() {\n" + lines(78, "") + "}\n", ""},
		{"", "store/a.go", "// Code generated by x. DO NOT EDIT.\n\npackage store\n" + lines(900, ""), ""},
		{"names", "api/util/a.go", "// Package util is.\npackage util\n", `"util" says nothing`},
		{"names", "api/v/a.go", "// Package other is.\npackage other\n", "name directory and package alike"},
		{"init", "store/a.go", "package store\n\nfunc init() {}\n", "store/a.go:3: an init function"},
		{"globals", "store/a.go", "package store\n\nvar n int\n\nfunc f() { n = 1 }\n", "store/a.go:5: assigns to the package variable n"},
		{"", "store/a.go", "package store\n\nvar n int\n\nfunc f() { n := 0; n = 1; _ = n }\n\nfunc g(n int) { n = 2; _ = n }\n", ""},
		{"words", "docs/a.md", "fine\nTO" + "DO: more\n", "docs/a.md:2"},
		{"words", "docs/a.md", "good for " + "now.\n", "docs/a.md:1"},
		{"words", "kernels/_gen/y.go", "package main // Chat" + "GPT\n", "kernels/_gen/y.go:1"},
		{"words", "docs/a.md", "see /wo" + "rk/x\n", "one machine"},
		{"words", "docs/a.md", "from proxy.go" + "lang.org\n", "registry"},
		{"words", "docs/a.md", "as tas" + "k 3 says\n", "its plan"},
		{"", "docs/a.md", "pebble's issue 5993, homework/work, https://x.org/home\n", ""},
		{"layout", "scratch.txt", "x\n", "scratch.txt: unexpected"},
		{"layout", "CHANGELOG.md", "# Changes\n", "no release"},
		{"notice", "NOTICE", "github.com/cockroachdb/pebble BSD\n", "github.com/cockroachdb/pebble/v2 is imported"},
		{"notice", "NOTICE", "github.com/cockroachdb/pebble/v2 BSD\ngithub.com/x/y MIT\n", "github.com/x/y is listed and imported nowhere"},
		{"notice", "go.mod", "module " + modulePath + "\n", "of no module in go.mod"},
	} {
		m := sound()
		m[c.path] = file(c.text)
		tree, err := readTree(m)
		if err != nil {
			t.Fatalf("%s: %v", c.path, err)
		}
		for name, rule := range rules {
			problems := strings.Join(rule(tree), "\n")
			switch {
			case name == c.rule && !strings.Contains(problems, c.want):
				t.Errorf("%s with %q: rule %s says %q, want %q", c.path, c.text, name, problems, c.want)
			case name != c.rule && problems != "":
				t.Errorf("%s with %q: rule %s objects too: %s", c.path, c.text, name, problems)
			}
			if name == c.rule && problems == "" {
				t.Errorf("%s with %q: rule %s lets it pass", c.path, c.text, name)
			}
		}
	}
}

// TestMissing takes away a file that must be there.
func TestMissing(t *testing.T) {
	m := sound()
	delete(m, "LICENSE")
	tree, err := readTree(m)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(checkLayout(tree), "\n"); got != "LICENSE: missing at the top of the repository" {
		t.Errorf("said %q", got)
	}
}

// TestStaleException lists an exception that nothing needs.
func TestStaleException(t *testing.T) {
	tree, err := readTree(sound())
	if err != nil {
		t.Fatal(err)
	}
	if got := checkSizes(tree, map[string]string{"store/store.go": "a reason"}); len(got) != 1 || !strings.Contains(got[0], "take it off the list") {
		t.Errorf("said %q", got)
	}
}
