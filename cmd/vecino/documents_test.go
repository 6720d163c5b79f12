package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	project "github.com/vecino-db/vecino"
)

// documented is a command line that users are shown, and where.
type documented struct{ place, text string }

// documentedCommands are those between the fences of the documents, and the
// examples of every --help.
func documentedCommands(t *testing.T, model *kong.Node) (list []documented) {
	t.Helper()
	command := regexp.MustCompile(`^vecino [a-z-]`) // and not what it prints: "vecino 0.1.0"
	add := func(place, text string) {
		text = strings.TrimPrefix(strings.TrimSpace(text), "$ ")
		text = strings.TrimPrefix(strings.TrimPrefix(text, "go run ./cmd/"), "./")
		if command.MatchString(text) {
			list = append(list, documented{place, text})
		}
	}
	err := fs.WalkDir(project.Documents, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(name) != ".md" {
			return err
		}
		data, err := fs.ReadFile(project.Documents, name)
		fenced := false
		for i, text := range strings.Split(string(data), "\n") {
			if strings.HasPrefix(text, "```") {
				fenced = !fenced
			} else if fenced {
				add(fmt.Sprintf("%s:%d", name, i+1), text)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	comment := regexp.MustCompile(`   +.*$`) // behind a command in a help
	var walk func(n *kong.Node)
	walk = func(n *kong.Node) {
		for _, text := range strings.Split(n.Help+"\n"+n.Detail, "\n") {
			if strings.HasPrefix(text, "  ") {
				add(n.FullPath()+" --help", comment.ReplaceAllString(strings.TrimSpace(text), ""))
			}
		}
		for _, child := range n.Children {
			walk(child)
		}
	}
	walk(model)
	return list
}

// word is one of a command line, as a shell takes it.
var word = regexp.MustCompile(`"[^"]*"|'[^']*'|[^\s"']+`)

// words are those of a command line, up to what is the shell's.
func words(line string) (list []string) {
	for _, w := range word.FindAllString(line, -1) {
		if strings.HasPrefix(w, "#") || strings.ContainsAny(w[:1], "|&;<>\\") {
			break
		}
		list = append(list, strings.Trim(w, `"'`))
	}
	return list
}

// TestDocumentedCommands: every command that a document or a help shows is one,
// with the flags that it has there.
func TestDocumentedCommands(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"my-texts.ndjson"} { // flags that want a file
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parser, err := grammar(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	parse := func(line string) error {
		err := kong.Visit(parser.Model, func(n kong.Visitable, next kong.Next) error {
			if f, ok := n.(*kong.Flag); ok {
				f.Set = false // a parser remembers which flags were given
			}
			return next(nil)
		})
		if err == nil {
			_, err = parser.Parse(words(line)[1:])
		}
		return err
	}
	seen := map[string]int{}
	for _, d := range documentedCommands(t, parser.Model.Node) {
		place, _, _ := strings.Cut(d.place, ":")
		seen[place]++
		if err := parse(d.text); err != nil {
			t.Errorf("%s: %s: %v", d.place, d.text, err)
		}
	}
	for _, place := range []string{"README.md", "docs/MIGRATION.md", "docs/API.md", "vecino --help", "vecino migrate --help", "vecino migrate start --help"} {
		if seen[place] == 0 {
			t.Errorf("no command of %s was looked at: %v", place, seen)
		}
	}
	var unknown *kong.ParseError
	if err := parse(`vecino migrate start -c notes --nope "x y"`); !errors.As(err, &unknown) {
		t.Errorf("an unknown flag: %v", err)
	}
}
