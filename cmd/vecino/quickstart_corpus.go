package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
)

// fieldguide is the corpus of the quickstart: 72 short texts on nine fields,
// written for it, one JSON object a line.
//
//go:embed corpus/fieldguide.ndjson
var fieldguide string

// quickstartCollection is the collection that the quickstart fills.
const quickstartCollection = "fieldguide"

// guidePoint is one text of the corpus in the form of a point to upsert.
type guidePoint struct {
	ID      uint64         `json:"id"`
	Text    string         `json:"text"`
	Payload guideEntryInfo `json:"payload"`
}

// guideEntryInfo is the payload of a text.
type guideEntryInfo struct {
	Title string `json:"title"`
	Topic string `json:"topic"`
}

// readFieldguide decodes the corpus.
func readFieldguide() ([]guidePoint, error) {
	var points []guidePoint
	for i, line := range strings.Split(strings.TrimSpace(fieldguide), "\n") {
		var p guidePoint
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			return nil, fmt.Errorf("corpus, line %d: %w", i+1, err)
		}
		points = append(points, p)
	}
	return points, nil
}

// guideQuery is one query of the quickstart.
type guideQuery struct {
	text  string
	topic string // filter; "" for none
	first string // the title that must be found first
}

// guideQueries ask for texts in other words than those have, or in some of the
// same; the fourth is narrowed by a filter.
func guideQueries() []guideQuery {
	return []guideQuery{
		{text: "how often should I feed my sourdough starter", first: "Feeding a sourdough starter"},
		{text: "two sailing boats meet, which one has the right of way?", first: "Right of way under sail"},
		{text: "why does the moon always show us the same face", first: "Why the Moon shows one face"},
		{text: "water in the morning", topic: "gardening", first: "Watering deeply"},
		{text: "threads race for the same memory", first: "Race conditions"},
	}
}
