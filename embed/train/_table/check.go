package main

import (
	"fmt"
	"hash/fnv"
	"path/filepath"
	"sort"
	"strings"

	"github.com/vecino-db/vecino/embed/evaluate"
	"github.com/vecino-db/vecino/embed/train"
)

// shingle is the words that are compared at a time; shorter texts are compared
// as a whole.
const shingle = 8

// judged is one text of a judged collection.
type judged struct {
	name     string
	text     string
	shingles []uint64
	found    int
	whole    bool // the text itself stands among the pairs
}

// judgedTexts are the texts of the judged collections under -data.
func judgedTexts() ([]*judged, error) {
	var all []*judged
	add := func(name, text string) {
		j := &judged{name: name, text: text}
		words := train.Words(text)
		if len(words) < 3 {
			return // "(empty)" and the like say nothing
		}
		for i := 0; i == 0 || i+shingle <= len(words); i++ {
			j.shingles = append(j.shingles, hashOf(words[i:min(len(words), i+shingle)]))
		}
		all = append(all, j)
	}
	c, err := evaluate.Open(filepath.Join(*data, "cranfield"))
	if err != nil {
		return nil, err
	}
	for _, d := range c.Documents {
		add("Cranfield document", d)
	}
	for _, q := range c.Queries {
		add("Cranfield query", q)
	}
	list, err := evaluate.OpenPairs(filepath.Join(*data, "stsb", "stsb-en-dev.csv"))
	if err != nil {
		return nil, err
	}
	for _, p := range list {
		add("STS-B sentence", p.A)
		add("STS-B sentence", p.B)
	}
	return all, nil
}

// touches calls f for what of a text could be in a set of shingles: the text
// as a whole, and its runs of words.
func touches(text string, f func(h uint64)) {
	words := train.Words(text)
	if len(words) == 0 {
		return
	}
	f(hashOf(words))
	for i := 0; i+shingle <= len(words); i++ {
		f(hashOf(words[i : i+shingle]))
	}
}

// clean reports which pairs have no run of words of a judged text.
func clean() (func(query, document string) bool, error) {
	all, err := judgedTexts()
	if err != nil {
		return nil, err
	}
	runs := map[uint64]bool{}
	for _, j := range all {
		for _, h := range j.shingles {
			runs[h] = true
		}
	}
	return func(query, document string) bool {
		found := false
		for _, side := range []string{query, document} {
			touches(side, func(h uint64) { found = found || runs[h] })
		}
		return !found
	}, nil
}

// check looks for the judged texts among the pairs: each as a whole (words
// alone, so case and punctuation make no difference), and by its runs of eight
// words, which a near duplicate shares.
func check() error {
	all, err := judgedTexts()
	if err != nil {
		return err
	}
	runs, wholes := map[uint64]bool{}, map[uint64]bool{}
	for _, j := range all {
		wholes[hashOf(train.Words(j.text))] = false
		for _, h := range j.shingles {
			runs[h] = false
		}
	}
	pairs := 0
	err = each(func(_, query, document string) {
		pairs++
		for _, side := range []string{query, document} {
			touches(side, func(h uint64) {
				if _, ok := wholes[h]; ok {
					wholes[h] = true
				}
				if _, ok := runs[h]; ok {
					runs[h] = true
				}
			})
		}
	})
	if err != nil {
		return err
	}
	count := map[string][4]int{} // texts, whole, half of the shingles, any shingle
	var worst []*judged
	for _, j := range all {
		j.whole = wholes[hashOf(train.Words(j.text))]
		for _, h := range j.shingles {
			if runs[h] {
				j.found++
			}
		}
		n := count[j.name]
		n[0]++
		if j.whole {
			n[1]++
		}
		if 2*j.found >= len(j.shingles) {
			n[2]++
		}
		if j.found > 0 {
			n[3]++
			worst = append(worst, j)
		}
		count[j.name] = n
	}
	fmt.Printf("%d pairs\n", pairs)
	for _, name := range []string{"Cranfield document", "Cranfield query", "STS-B sentence"} {
		n := count[name]
		fmt.Printf("%-20s %5d texts: %d stand among the pairs, %d have half of their runs of %d words there, %d any run\n", name, n[0], n[1], n[2], shingle, n[3])
	}
	sort.SliceStable(worst, func(a, b int) bool {
		return worst[a].found*len(worst[b].shingles) > worst[b].found*len(worst[a].shingles)
	})
	for _, j := range worst[:min(len(worst), 25)] {
		fmt.Printf("%d of %d, %s: %.110s\n", j.found, len(j.shingles), j.name, j.text)
	}
	return nil
}

func hashOf(words []string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(strings.Join(words, " ")))
	return h.Sum64()
}
