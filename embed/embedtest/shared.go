package embedtest

import (
	"os"
	"path/filepath"
	"testing"
)

// Shared is the path of a file or directory of the shared data, which are other
// people's models and what their programs make of texts, and collections with
// judged queries. The test is skipped where it is absent.
//
// CI takes a skip whose message has the word "shared" for a failure where there
// is shared data, and finds the packages that need it by the name of this
// function.
func Shared(t testing.TB, elements ...string) string {
	t.Helper()
	dir, _ := SharedDir()
	path := filepath.Join(append([]string{dir}, elements...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no shared data at %s: set VECINO_SHARED to its directory", path)
	}
	return path
}

// SharedDir is the directory of the shared data: VECINO_SHARED, or shared/data
// beside the repository that the test runs in.
func SharedDir() (dir string, there bool) {
	dir = os.Getenv("VECINO_SHARED")
	if dir == "" {
		dir = filepath.Join(repository(), "..", "shared", "data")
	}
	_, err := os.Stat(dir)
	return dir, err == nil
}

// repository is the nearest directory above a test's own that has a go.mod,
// relative to it; the test's own where there is none.
func repository() string {
	root, err := os.Getwd()
	if err != nil {
		return "."
	}
	for up := "."; ; up = filepath.Join(up, "..") {
		if _, err := os.Stat(filepath.Join(up, "go.mod")); err == nil {
			return up
		}
		if root == filepath.Dir(root) {
			return "."
		}
		root = filepath.Dir(root)
	}
}
