package house

import (
	"bufio"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// wanted stand at the top; allowed may.
var (
	wanted = []string{
		".ci", ".gitignore", ".golangci.yml", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "NOTICE", "README.md",
		"api", "cmd", "compat", "docs", "embed", "go.mod", "go.sum", "index", "kernels", "store",
	}
	allowed = []string{
		"documents.go", // what is embedded must lie above what it embeds
		".git", ".gitattributes", ".tools", ".dockerignore", "Dockerfile", "SECURITY.md", "bin", "dist",
	}
)

// checkLayout looks at the top of the repository.
func checkLayout(t *tree) []string {
	var problems []string
	for _, name := range t.top {
		if !slices.Contains(wanted, name) && !slices.Contains(allowed, name) {
			problems = append(problems, name+": unexpected at the top of the repository; find it a package, or list it in cmd/house")
		}
	}
	for _, name := range wanted {
		if !slices.Contains(t.top, name) {
			problems = append(problems, name+": missing at the top of the repository")
		}
	}
	if !strings.Contains(t.texts["CHANGELOG.md"], "\n## ") {
		problems = append(problems, "CHANGELOG.md: no release in it")
	}
	return problems
}

// checkNotice wants the modules of all imported packages in NOTICE, and no
// others in its table.
func checkNotice(t *tree) []string {
	modules := requirements(t.texts["go.mod"])
	var problems []string
	seen := map[string]bool{}
	for _, f := range t.files {
		for _, spec := range f.syntax.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil || under(imported, modulePath) || !strings.Contains(strings.Split(imported, "/")[0], ".") {
				continue
			}
			module := ""
			for _, m := range modules {
				if under(imported, m) && len(m) > len(module) {
					module = m
				}
			}
			switch {
			case module == "":
				problems = append(problems, fmt.Sprintf("%s: %s is of no module in go.mod", f.at(spec), imported))
			case !seen[module] && !slices.Contains(strings.Fields(t.texts["NOTICE"]), module):
				problems = append(problems, fmt.Sprintf("NOTICE: %s is imported (%s) and not listed with its licence", module, f.path))
			}
			seen[module] = true
		}
	}
	for _, line := range strings.Split(t.texts["NOTICE"], "\n") {
		fields := strings.Fields(line)
		if len(fields) > 1 && strings.Contains(fields[0], "/") && !seen[fields[0]] {
			problems = append(problems, fmt.Sprintf("NOTICE: %s is listed and imported nowhere", fields[0]))
		}
	}
	return problems
}

// requirements are the module paths that a go.mod requires.
func requirements(text string) []string {
	var modules []string
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(lines.Text()), "require "))
		if len(fields) >= 2 && strings.HasPrefix(fields[1], "v") {
			modules = append(modules, fields[0])
		}
	}
	return modules
}
