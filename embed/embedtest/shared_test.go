package embedtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// skipping is a test that notes why it was skipped, so that the run is not.
type skipping struct {
	testing.TB
	why string
}

func (s *skipping) Helper() {}

func (s *skipping) Skipf(format string, args ...any) { s.why = fmt.Sprintf(format, args...) }

func TestWhereDataIsLookedFor(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("VECINO_SHARED", dir)
	if err := os.WriteFile(filepath.Join(dir, "there"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := &skipping{TB: t}
	if got := Shared(s, "there"); got != filepath.Join(dir, "there") || s.why != "" {
		t.Errorf("%s, skipped: %q", got, s.why)
	}
	if Shared(s, "absent", "file"); !strings.Contains(s.why, "shared") || !strings.Contains(s.why, filepath.Join(dir, "absent", "file")) {
		t.Errorf("skipped: %q", s.why)
	}
	t.Setenv("VECINO_SHARED", "")
	if dir, _ := SharedDir(); dir != filepath.Join("..", "..", "..", "shared", "data") {
		t.Errorf("it is looked for at %s", dir)
	}
}
