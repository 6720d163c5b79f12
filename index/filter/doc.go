// Package filter is the language of payload filters: it parses the JSON form
// that Qdrant's clients send and decides whether a document matches.
//
// # Grammar
//
// A filter is an object of clauses. All of its clauses must hold; a clause
// that is absent, null or an empty list asks for nothing, so {} matches every
// document. Where a list of conditions is expected a single one may stand.
//
//	filter    = {"must": [condition...], "should": [condition...],
//	             "must_not": [condition...],
//	             "min_should": {"conditions": [condition...], "min_count": N}}
//	condition = {"key": path, test...}      every test of the condition holds
//	          | {"is_empty": {"key": path}}
//	          | {"is_null": {"key": path}}
//	          | {"has_id": [id...]}
//	          | {"nested": {"key": path, "filter": filter}}
//	          | filter
//	test      = "match": {"value": scalar} | {"any": [scalar...]}
//	                   | {"except": [scalar...]} | {"text": string}
//	          | "range": {"gt", "gte", "lt", "lte"}         of numbers or of times
//	          | "values_count": {"gt", "gte", "lt", "lte"}  of whole numbers
//	          | "is_empty": bool | "is_null": bool
//	scalar    = string | integer | true | false
//	id        = unsigned integer | string
//
// must wants every condition, should at least one, must_not none, and
// min_should at least min_count of its conditions.
//
// # Paths and values
//
// A path names the values of a document's payload that a condition looks at:
// keys joined by dots, each followed by any number of [] (every element of an
// array) or [3] (one element, from 0). A key that holds a dot, a bracket or a
// quotation mark is written in quotation marks: "a.b"[].c. A path that does
// not fit the payload (a key of something that is no object, an element of
// something that is no array) names no value.
//
// A condition holds when it holds for any of the values that its path names. A
// value that is an array stands for its elements in match and range, so
// {"tags": ["x", "y"]} matches both by the path tags and by tags[]. Two
// conditions on a[].b and a[].c may be met by different elements of a; the
// nested condition wants one element that meets the whole filter. Paths within
// it start at that element, and has_id isn't allowed there.
//
// # Tests
//
//   - match value, any: the value is of the same JSON type and equal (to one of
//     the list). Strings are compared byte by byte.
//   - match except: the value is not null and equals none of the list. A
//     document without a value does not match.
//   - match text: the value is a string that contains every word of the given
//     text, in any order. Words are those of Unicode's word segmentation (UAX
//     #29) that hold a letter or a digit, in normal form NFC, lower-cased. They
//     are compared whole: "garden" does not match "gardens". A text without
//     words matches nothing.
//   - range: the value is a number within all the bounds given, or, when the
//     bounds are strings, a string that reads as a time within them. Times are
//     RFC 3339; the zone (then UTC), the seconds or the whole time of day may
//     be left out. Numbers and times can't be mixed in one range.
//   - values_count: the number of elements of the value: 0 for null and for a
//     missing value, the length of an array, 1 for anything else.
//   - is_empty: the path names no value, or only nulls and empty arrays.
//   - is_null: the path names a null. An array that contains null is not null.
//   - has_id: the document's id is one of the list. A hyphenated UUID is
//     compared in lower case.
//
// # Numbers
//
// Numbers are compared by value, whatever their spelling: 1, 1.0 and 10e-1 are
// equal. Whole numbers without fraction and exponent from -2^63 to 2^64-1 are
// exact, so 9007199254740993 and 9007199254740992 differ; all others are the
// nearest float64. A number beyond float64 is refused in a filter and compares
// as infinity in a payload.
//
// # Limits
//
// Parse refuses what exceeds MaxDepth, MaxConditions, MaxValues, MaxString or
// MaxPath, as well as unknown and duplicate keys (keys are case-sensitive),
// invalid UTF-8 and anything after the filter. Every refusal is an *Error that
// points to the place.
package filter
