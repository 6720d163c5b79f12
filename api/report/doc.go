// Package report says of one migration, in one place, what was measured of the
// generation that serves and of the one that is to take its place: for programs
// as JSON, for people as Markdown that reads well in a terminal, with plots as
// SVG files.
//
// Nothing is in a report that was not measured. A part that was not is nil; its
// place in the JSON is null, "absent" lists it with the reason where there is
// one, and the Markdown says so in a section of its own. Reading the JSON back
// gives the same report and the same Markdown.
//
// Files of one report:
//
//	report.json    all of it
//	report.md      all but the measures of single queries
//	scores.svg     the scores that a share of the hits reaches, old and new
//	queries.svg    nDCG@10 of each query, new minus old, from worst to best
//	overlap.svg    how many of the first k hits are shared, over queries
//
// A plot whose part was not measured is not there. Texts of documents and
// queries are shortened and escaped, so that what users have stored can neither
// break a table nor run in a viewer.
package report
