// Command corpus makes the pairs of texts that the general table is trained on,
// out of the sources in sources.json: openly licensed repositories, each at one
// commit whose licence was read.
//
//	go run ./embed/train/_corpus -mirrors DIR -out DIR
//
// DIR/OWNER+NAME/repo under -mirrors is a clone of each repository (bare will
// do). Written are one NAME.tsv a source, "query TAB document" a line, and
// counts.json. Texts stay there: they are no part of this project.
package main

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/vecino-db/vecino/embed/train/passages"
)

//go:embed sources.json
var sourcesFile []byte

// source is one repository at one commit.
type source struct {
	Name        string   `json:"name"`
	Repository  string   `json:"repository"`
	Commit      string   `json:"commit"`
	Licence     string   `json:"licence"`
	Attribution string   `json:"attribution"`
	Format      string   `json:"format"`
	Paths       []string `json:"paths,omitempty"`
	// Must is a text without which a file is left out: the statement of its licence.
	Must string `json:"must,omitempty"`
	// Times is how often an epoch takes the pairs; 0: once. Prose about nature
	// and people is scarce beside documentation of programs.
	Times int `json:"times,omitempty"`

	names, hashes []string
}

// count is what came out of a source.
type count struct {
	source
	Files int `json:"files"`
	Pairs int `json:"pairs"`
	Words int `json:"words"`
}

func main() {
	mirrors := flag.String("mirrors", "", "directory of the repositories' clones")
	out := flag.String("out", "", "directory of the pairs")
	only := flag.String("only", "", "one source by name")
	flag.Parse()
	if *mirrors == "" || *out == "" {
		log.Fatal("give -mirrors and -out")
	}
	var sources []source
	if err := json.Unmarshal(sourcesFile, &sources); err != nil {
		log.Fatal(err)
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		log.Fatal(err)
	}
	var counts []count
	for _, s := range sources {
		if *only != "" && s.Name != *only {
			continue
		}
		c, err := s.pairs(*mirrors, *out)
		if err != nil {
			log.Fatalf("%s: %v", s.Name, err)
		}
		fmt.Printf("%-32s %7d files %8d pairs %10d words\n", s.Name, c.Files, c.Pairs, c.Words)
		counts = append(counts, c)
	}
	if *only == "" {
		text, err := json.MarshalIndent(counts, "", " ")
		if err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(*out, "counts.json"), text, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// extensions of the files that a format reads.
var extensions = map[string][]string{
	"markdown": {".md", ".mdx"},
	"tldr":     {".md"},
	"rst":      {".rst"},
	"python":   {".py", ".rst"},
	"cnxml":    {".cnxml"},
	"wordnet":  {".yaml"},
	"notebook": {".ipynb"},
}

// pairs writes the pairs of a source.
func (s source) pairs(mirrors, out string) (c count, err error) {
	c.source = s
	formats := extensions[s.Format]
	if formats == nil {
		return c, fmt.Errorf("unknown format %q", s.Format)
	}
	file, err := os.Create(filepath.Join(out, s.Name+".tsv"))
	if err != nil {
		return c, err
	}
	w := bufio.NewWriterSize(file, 1<<20)
	seen := map[string]bool{}
	put := func(pairs []passages.Pair) {
		for _, p := range pairs {
			if !good(p) {
				continue
			}
			key := p.Query + "\t" + p.Document
			if len(key) > 160 {
				key = key[:160]
			}
			// Boilerplate differs in its query alone.
			body := "\t" + p.Document
			if len(body) > 160 {
				body = body[:160]
			}
			long := len(p.Document) >= 160
			if seen[key] || long && seen[body] && len(p.Query) < 40 {
				continue
			}
			seen[key] = true
			if long {
				seen[body] = true
			}
			c.Pairs++
			c.Words += len(strings.Fields(p.Query)) + len(strings.Fields(p.Document))
			fmt.Fprintf(w, "%s\t%s\n", p.Query, p.Document)
		}
	}
	dictionary := map[string]*synset{}
	var ids []string
	err = s.each(mirrors, formats, func(name, text string) {
		c.Files++
		switch s.Format {
		case "markdown":
			put(markdown(text).Pairs(passages.Standard()))
		case "notebook":
			put(markdown(notebook(text)).Pairs(passages.Standard()))
		case "tldr":
			put(tldr(text))
		case "rst":
			put(rst(text).Pairs(passages.Standard()))
		case "python":
			if path.Ext(name) == ".py" {
				put(python(text))
			} else {
				put(rst(text).Pairs(passages.Standard()))
			}
		case "cnxml":
			doc, glossary := cnxml(text)
			put(doc.Pairs(passages.Standard()))
			put(glossary)
		case "wordnet":
			if base := path.Base(name); !strings.HasPrefix(base, "entries") && base != "frames.yaml" {
				for id, set := range synsets(text) {
					dictionary[id] = set
					ids = append(ids, id)
				}
			}
		}
	})
	if s.Format == "wordnet" {
		sort.Strings(ids)
		put(wordnet(dictionary, ids))
	}
	return c, errors.Join(err, w.Flush(), file.Close())
}

// good leaves out what is no prose in Latin letters.
func good(p passages.Pair) bool {
	if p.Query == "" || p.Document == "" || strings.ContainsAny(p.Query+p.Document, "\t\n\r") {
		return false
	}
	letters, others := 0, 0
	for _, r := range p.Query + p.Document {
		switch {
		case 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == ' ':
			letters++
		case r >= utf8.RuneSelf:
			others += 3
		default:
			others++
		}
	}
	return letters > 3*others
}

// each calls f for the files of a source, in git's order. Blobs that a clone
// lacks (only big ones may be absent) are left out.
func (s source) each(mirrors string, formats []string, f func(name, text string)) error {
	clone := filepath.Join(mirrors, strings.ReplaceAll(s.Repository, "/", "+"), "repo")
	list, err := exec.Command("git", append([]string{"-C", clone, "ls-tree", "-r", "-l", "-z", s.Commit, "--"}, s.Paths...)...).Output()
	if err != nil {
		return fmt.Errorf("git ls-tree: %w", err)
	}
	const most = 4 << 20
	for _, entry := range strings.Split(string(list), "\x00") {
		meta, name, _ := strings.Cut(entry, "\t")
		fields := strings.Fields(meta) // mode, type, hash, size
		if len(fields) != 4 || fields[1] != "blob" || !slices.Contains(formats, path.Ext(name)) {
			continue
		}
		if size, err := strconv.Atoi(fields[3]); err != nil || size > most {
			continue
		}
		s.names = append(s.names, name)
		s.hashes = append(s.hashes, fields[2])
	}
	cmd := exec.Command("git", "-C", clone, "cat-file", "--batch")
	cmd.Stdin = strings.NewReader(strings.Join(s.hashes, "\n") + "\n")
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	r := bufio.NewReaderSize(pipe, 1<<20)
	for _, name := range s.names {
		head, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		fields := strings.Fields(head)
		if len(fields) != 3 {
			continue
		}
		size, err := strconv.Atoi(fields[2])
		if err != nil {
			return err
		}
		text := make([]byte, size+1)
		if _, err := io.ReadFull(r, text); err != nil {
			return err
		}
		text = text[:size]
		if !utf8.Valid(text) || s.Must != "" && !strings.Contains(strings.ToLower(string(text)), strings.ToLower(s.Must)) {
			continue
		}
		f(name, string(text))
	}
	return cmd.Wait()
}
