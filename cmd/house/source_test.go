package house

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
)

// checkPackageDocs wants a package comment in every package.
func checkPackageDocs(t *tree) []string {
	first := map[string]*goFile{}
	documented := map[string]bool{}
	for _, f := range t.files {
		if f.test {
			continue
		}
		if first[f.dir] == nil {
			first[f.dir] = f
		}
		want := opening(f.syntax.Name.Name)
		if f.syntax.Doc != nil && strings.HasPrefix(strings.ReplaceAll(f.syntax.Doc.Text(), "\n", " "), want) {
			documented[f.dir] = true
		}
	}
	var problems []string
	for dir, f := range first {
		if !documented[dir] {
			problems = append(problems, fmt.Sprintf("%s: the package has no comment that starts with %q", dir, opening(f.syntax.Name.Name)))
		}
	}
	slices.Sort(problems)
	return problems
}

// opening is what a package comment starts with.
func opening(name string) string {
	if name == "main" {
		return "Command "
	}
	return "Package " + name + " "
}

// checkExportedDocs wants a comment at every exported name.
func checkExportedDocs(t *tree) []string {
	var problems []string
	for _, f := range t.files {
		if f.test || f.generated {
			continue
		}
		complain := func(n ast.Node, name string) {
			problems = append(problems, fmt.Sprintf("%s: %s is exported and has no comment", f.at(n), name))
		}
		for _, decl := range f.syntax.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) {
					complain(d, d.Name.Name)
				}
			case *ast.GenDecl:
				undocumented(d, complain)
			}
		}
	}
	return problems
}

// undocumented finds the exported names of a declaration without a comment at
// the name or, but for types, at the group.
func undocumented(d *ast.GenDecl, complain func(ast.Node, string)) {
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && s.Doc == nil && s.Comment == nil && (d.Doc == nil || d.Lparen.IsValid()) {
				complain(s, s.Name.Name)
			}
		case *ast.ValueSpec:
			for _, name := range s.Names {
				if name.IsExported() && s.Doc == nil && s.Comment == nil && d.Doc == nil {
					complain(s, name.Name)
				}
			}
		}
	}
}

// exportedReceiver reports whether a function is visible by its receiver.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return true
	}
	visible := true
	ast.Inspect(d.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			visible = id.IsExported()
			return false
		}
		_, index := n.(*ast.IndexExpr)
		return !index || visible
	})
	return visible
}

// Sizes beyond which a reader loses the thread.
const (
	maxFileLines     = 600
	maxFunctionLines = 80
)

// exceptions are files ("path") and functions ("path:name") that may be
// longer, each with its reason. An exception that nothing needs is a problem.
var exceptions = map[string]string{}

// checkSizes measures files and functions. Generated code and the functions of
// tests, which are mostly tables, are left out.
func checkSizes(t *tree, exceptions map[string]string) []string {
	var problems []string
	used := map[string]bool{}
	long := func(key, message string) {
		if _, ok := exceptions[key]; ok {
			used[key] = true
			return
		}
		problems = append(problems, message+"; split it, or list it in cmd/house with a reason")
	}
	for _, f := range t.files {
		if f.generated {
			continue
		}
		if f.lines > maxFileLines {
			long(f.path, fmt.Sprintf("%s: %d lines, over %d", f.path, f.lines, maxFileLines))
		}
		if f.forTests() {
			continue
		}
		for _, decl := range f.syntax.Decls {
			d, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			lines := f.set.Position(d.End()).Line - f.set.Position(d.Pos()).Line + 1
			if lines > maxFunctionLines {
				long(f.path+":"+d.Name.Name, fmt.Sprintf("%s: %s has %d lines, over %d", f.at(d), d.Name.Name, lines, maxFunctionLines))
			}
		}
	}
	for key := range exceptions {
		if !used[key] {
			problems = append(problems, key+" is listed as an exception and isn't one; take it off the list")
		}
	}
	return problems
}

// vague package names say nothing of what is in them.
var vague = []string{"util", "utils", "common", "types", "models", "helpers", "misc", "base", "shared", "lib", "pkg"}

// checkNames refuses vague package and directory names.
func checkNames(t *tree) []string {
	seen := map[string]bool{}
	var problems []string
	for _, f := range t.files {
		for _, name := range append(strings.Split(f.dir, "/"), strings.TrimSuffix(f.syntax.Name.Name, "_test")) {
			if key := f.dir + " " + name; slices.Contains(vague, name) && !seen[key] {
				seen[key] = true
				problems = append(problems, fmt.Sprintf("%s: %q says nothing of what is in the package; name it after what it provides", f.dir, name))
			}
		}
		if name := f.syntax.Name.Name; !f.test && name != "main" && f.dir != "." && name != path.Base(f.dir) && !seen[f.dir] {
			seen[f.dir] = true
			problems = append(problems, fmt.Sprintf("%s: the package is called %s; name directory and package alike", f.dir, name))
		}
	}
	return problems
}

// checkInit refuses init functions: what happens at start must be called.
func checkInit(t *tree) []string {
	var problems []string
	for _, f := range t.files {
		for _, decl := range f.syntax.Decls {
			if d, ok := decl.(*ast.FuncDecl); ok && d.Recv == nil && d.Name.Name == "init" && !f.generated {
				problems = append(problems, f.at(d)+": an init function; do it where main or a constructor calls it")
			}
		}
	}
	return problems
}

// switches are package variables ("dir:name") that functions may assign to,
// each with its reason.
var switches = map[string]string{
	"kernels/cpu:active": "which kernel tier runs is a property of the process: tests and VECINO_KERNELS force it",
}

// checkGlobals refuses package variables that functions assign to: state that
// nobody owns.
func checkGlobals(t *tree) []string {
	globals := map[string]map[string]bool{} // by directory
	for _, f := range t.files {
		if globals[f.dir] == nil {
			globals[f.dir] = map[string]bool{}
		}
		for _, decl := range f.syntax.Decls {
			if d, ok := decl.(*ast.GenDecl); ok && d.Tok == token.VAR {
				for _, spec := range d.Specs {
					for _, name := range spec.(*ast.ValueSpec).Names {
						globals[f.dir][name.Name] = name.Name != "_"
					}
				}
			}
		}
	}
	var problems []string
	for _, f := range t.files {
		if f.test || f.generated {
			continue
		}
		for _, decl := range f.syntax.Decls {
			d, ok := decl.(*ast.FuncDecl)
			if !ok || d.Body == nil {
				continue
			}
			ast.Inspect(d.Body, func(n ast.Node) bool {
				assign, ok := n.(*ast.AssignStmt)
				if !ok || assign.Tok == token.DEFINE {
					return true
				}
				for _, left := range assign.Lhs {
					// Within one file the parser resolves locals; a name that it
					// left alone, or found at the top, is the package's.
					id, ok := left.(*ast.Ident)
					if ok && globals[f.dir][id.Name] && !declaredIn(d, id) && switches[f.dir+":"+id.Name] == "" {
						problems = append(problems, fmt.Sprintf("%s: assigns to the package variable %s; give the state an owner", f.at(assign), id.Name))
					}
				}
				return true
			})
		}
	}
	return problems
}

// declaredIn reports whether a function declares a name anywhere in itself.
func declaredIn(d *ast.FuncDecl, id *ast.Ident) bool {
	if id.Obj == nil {
		return false
	}
	decl, ok := id.Obj.Decl.(ast.Node)
	return ok && decl.Pos() >= d.Pos() && decl.End() <= d.End()
}
