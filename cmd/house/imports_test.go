package house

import (
	"fmt"
	"strconv"
	"strings"
)

// layer says what the packages under a directory may import of ours. A
// directory name stands for everything under it, unless it ends in "$", which
// is that package alone. The longest matching dir decides.
type layer struct {
	dir    string
	may    []string
	reason string
}

// layers draw the one way that data flows: kernels and compat at the bottom,
// the command at the top.
var layers = []layer{
	{"kernels", []string{"kernels"}, "kernels are arithmetic on slices; they know nothing of vectors' meaning"},
	{"compat", []string{"compat"}, "compat is pure logic: what it decides must not depend on any part that it judges"},
	{"embed", []string{"embed", "compat", "kernels"}, "encoders make stamped vectors; where those go is not their business"},
	{"index", []string{"index", "compat", "kernels"}, "an index is memory only: what is durable is the store's, what is text is the encoder's"},
	{"index/filter", nil, "the filter language is pure logic that any part may share"},
	{"store", []string{"store", "compat", "index"}, "the store takes stamped vectors, never texts to encode; nothing below the API may reach an encoder"},
	{"api", []string{"api", "embed", "store", "compat", "index$", "index/filter"}, "the API goes through the store's gate; an index reached past it would bypass the manifest"},
	{"cmd/vecino", []string{"cmd/vecino", "api", "embed", "store", "compat", "kernels/cpu", "index"}, "the command is wiring; arithmetic belongs into packages"},
	{"cmd/house", nil, "the house rules judge all packages and depend on none"},
}

// owner says which directories may import a package of others (a prefix).
type owner struct {
	path   string
	dirs   []string
	tests  bool // whether the rule binds tests as well
	reason string
}

// owners give each big library one place, so that it can be replaced there.
var owners = []owner{
	{"github.com/cockroachdb/pebble", []string{"store"}, true, "the store alone knows how things are kept on disk"},
	{"github.com/labstack/", []string{"api/httpapi"}, true, "the service has no transport; HTTP is one of several that may come"},
	{"github.com/getkin/kin-openapi", []string{"api/httpapi"}, true, "the OpenAPI document belongs to the transport"},
	{"github.com/oapi-codegen/", []string{"api/httpapi"}, true, "generated types belong to the transport"},
	{"github.com/coder/hnsw", []string{"index/coder"}, true, "its traps (see package coder) are handled in the adapter alone"},
	{"github.com/klauspost/cpuid", []string{"kernels/cpu"}, true, "one place decides which kernel tier runs"},
	{"github.com/viterin/", []string{"kernels/kerneltest", "kernels/f32"}, true, "it is what our kernels are measured against, in benchmarks only"},
	{"gonum.org/", []string{"embed/bridge"}, true, "linear algebra of fitted maps; vectors are the kernels'"},
	{"github.com/alecthomas/kong", []string{"cmd/vecino"}, true, "flags belong to the command"},
	{"github.com/knadh/koanf", []string{"cmd/vecino"}, true, "configuration files belong to the command"},
	{"github.com/schollz/progressbar", []string{"cmd/vecino"}, true, "a library draws nothing on its user's terminal"},
	{"github.com/jedib0t/go-pretty", []string{"cmd/vecino"}, true, "a library draws nothing on its user's terminal"},
	{"net/http", []string{"api/httpapi", "cmd/vecino", "embed/hub", "embed/remote"}, false, "the core has no network"},
	{"os/exec", nil, false, "the program starts no other programs"},
	{"C", nil, true, "the program builds without cgo"},
	{"log", nil, true, "logs go through log/slog, to the logger that the caller gave"},
	{"math/rand", []string{"index/coder"}, true, "use math/rand/v2, seeded; coder/hnsw alone asks for the old one"},
	{"encoding/gob", nil, true, "gob decodes hostile input without bounds; formats are our own or CBOR"},
	{"testing", nil, false, "test code is kept out of the program"},
}

// under reports whether an import path or directory lies in dir.
func under(p, dir string) bool {
	if exact, ok := strings.CutSuffix(dir, "$"); ok {
		return p == exact
	}
	return p == dir || strings.HasPrefix(p, dir+"/")
}

func underAny(p string, dirs []string) bool {
	for _, dir := range dirs {
		if under(p, dir) {
			return true
		}
	}
	return false
}

// checkImports holds every file against layers and owners.
func checkImports(t *tree) []string {
	var problems []string
	for _, f := range t.files {
		for _, spec := range f.syntax.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue
			}
			if reason := forbidden(f, imported); reason != "" {
				problems = append(problems, fmt.Sprintf("%s: must not import %s: %s", f.at(spec), imported, reason))
			}
		}
	}
	return problems
}

// forbidden is why f must not import a path; "" when it may.
func forbidden(f *goFile, imported string) string {
	if ours, ok := strings.CutPrefix(imported, modulePath+"/"); ok {
		if f.test {
			return "" // a test may compare with anything
		}
		var at *layer
		for i, l := range layers {
			if under(f.dir, l.dir) && (at == nil || len(l.dir) > len(at.dir)) {
				at = &layers[i]
			}
		}
		switch {
		case at == nil:
			return "the directory stands in no layer; add it to layers in cmd/house with its reason"
		case !under(ours, at.dir) && !underAny(ours, at.may):
			return at.reason
		case !f.forTests() && strings.HasSuffix(imported, "test"):
			return "packages for tests are for tests"
		}
		return ""
	}
	for _, o := range owners {
		exact := !strings.Contains(o.path, ".") // of the standard library
		matches := imported == o.path || !exact && strings.HasPrefix(imported, o.path)
		if matches && (o.tests || !f.forTests()) && !underAny(f.dir, o.dirs) {
			return o.reason
		}
	}
	return ""
}
