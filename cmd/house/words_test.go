package house

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// word is a pattern that must not occur in any text of the tree.
type word struct {
	pattern *regexp.Regexp
	reason  string
	except  string // a directory where it has another meaning
}

// pattern joins the parts of a pattern, which are kept apart so that this file
// does not break its own rule.
func pattern(parts ...string) *regexp.Regexp { return regexp.MustCompile(strings.Join(parts, "")) }

// words are what the project doesn't write.
var words = []word{
	{pattern(`\b(TO`, `DO|FIX`, `ME|X`, `XX|HA`, `CK)\b`), "finish it, or open a ticket", ""},
	{pattern(`(?i)\b(st`, `ub|st`, `ubs|st`, `ubbed)\b`), "finish it, or say what it doesn't do", "kernels/_gen"}, // avo calls its Go declarations so
	{pattern(`(?i)\b(place`, `holders?|for `, `now)([^:\w]|$)`), "finish it, or say what it doesn't do", ""},      // with a colon it is kong's struct tag
	{pattern(`(?i)\b(cla`, `ude|anthro`, `pic|chat`, `gpt|co`, `pilot|a`, `i[- ](tool|tools|assistant|generated|agent))\b`), "the project speaks of itself alone", ""},
	{pattern(`(?i)\b(iss`, `ue|tas`, `k|mile`, `stone) #?[0-9]{1,2}\b`), "the project speaks of itself alone, not of its plan", ""},
	{pattern(`(^|[^\w.])/(wo`, `rk|ro`, `ot|ho`, `me|Us`, `ers)(/|\b)`), "a path of one machine", ""},
	{pattern(`(?i)\b(proxy\.golang|sum\.golang|registry\.npmjs|py`, `pi|crates|docker|gcr|ghcr|quay)\.(org|io)\b`), "no registry is wired in; tools ask the one that is configured", ""},
	{pattern(`\bGO`, `PROXY=`), "no registry is wired in; tools ask the one that is configured", ""},
}

// checkWords searches every text, line by line.
func checkWords(t *tree) []string {
	var problems []string
	for p, text := range t.texts {
		for i, line := range strings.Split(text, "\n") {
			for _, w := range words {
				if found := w.pattern.FindString(line); found != "" && (w.except == "" || !under(p, w.except)) {
					problems = append(problems, fmt.Sprintf("%s:%d: %q: %s", p, i+1, strings.TrimSpace(found), w.reason))
				}
			}
		}
	}
	slices.Sort(problems)
	return problems
}
