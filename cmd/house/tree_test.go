package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// modulePath is the prefix of our own import paths.
const modulePath = "github.com/vecino-db/vecino"

// tree is the source tree: what the rules look at.
type tree struct {
	top   []string          // names at the top
	texts map[string]string // every text file by slash-separated path
	files []*goFile         // Go files of this module, sorted by path
}

// goFile is one parsed Go file.
type goFile struct {
	path      string
	dir       string // "." at the top
	test      bool
	generated bool
	set       *token.FileSet
	syntax    *ast.File
	lines     int
}

// at is "path:line" of a node.
func (f *goFile) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", f.path, f.set.Position(n.Pos()).Line)
}

// skipped are directories that hold no source of ours.
var skipped = []string{".git", "bin", "dist"}

// readTree reads the module under root. Directories that start with "_" or
// "." and other modules have texts, but no Go files of this module.
func readTree(root fs.FS) (*tree, error) {
	t := &tree{texts: map[string]string{}}
	foreign := []string{} // directories with a go.mod of their own
	err := fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case p == ".":
			return nil
		case d.IsDir() && (slices.Contains(skipped, d.Name()) || d.Name() == "testdata"):
			if !strings.Contains(p, "/") {
				t.top = append(t.top, p)
			}
			return fs.SkipDir
		}
		if !strings.Contains(p, "/") {
			t.top = append(t.top, p)
		}
		// In a second work tree of a repository .git is a file.
		if d.IsDir() || p == ".git" || p == "go.sum" || strings.HasSuffix(p, "/go.sum") || !d.Type().IsRegular() {
			return nil
		}
		content, err := fs.ReadFile(root, p)
		if err != nil {
			return err
		}
		if !utf8.Valid(content) || strings.ContainsRune(string(content), 0) {
			return nil
		}
		t.texts[p] = string(content)
		if path.Base(p) == "go.mod" && p != "go.mod" {
			foreign = append(foreign, path.Dir(p)+"/")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for p, content := range t.texts {
		if path.Ext(p) != ".go" || slices.ContainsFunc(foreign, func(dir string) bool { return strings.HasPrefix(p, dir) }) || hidden(p) {
			continue
		}
		set := token.NewFileSet()
		syntax, err := parser.ParseFile(set, p, content, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		t.files = append(t.files, &goFile{
			path: p, dir: path.Dir(p), test: strings.HasSuffix(p, "_test.go"), generated: ast.IsGenerated(syntax),
			set: set, syntax: syntax, lines: strings.Count(content, "\n"),
		})
	}
	slices.SortFunc(t.files, func(a, b *goFile) int { return strings.Compare(a.path, b.path) })
	return t, nil
}

// hidden reports whether the go command ignores the path.
func hidden(p string) bool {
	return slices.ContainsFunc(strings.Split(p, "/"), func(part string) bool {
		return strings.HasPrefix(part, "_") || strings.HasPrefix(part, ".")
	})
}

// testing helpers: a package that serves tests may do what tests do.
func (f *goFile) forTests() bool {
	return f.test || strings.HasSuffix(f.dir, "test") || f.dir == "cmd/house"
}

// report fails t once for each problem.
func report(t *testing.T, problems []string) {
	t.Helper()
	for _, p := range problems {
		t.Error(p)
	}
}
