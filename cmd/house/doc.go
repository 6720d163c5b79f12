// Package house holds the rules of the house as tests; it has no code of its
// own. go test ./cmd/house reads the whole source tree and fails with the
// place, the rule and its reason:
//
//   - imports: who may import whom, and the one importer of each big library;
//   - documents: every package opens with a comment, every exported name has one;
//   - sizes: no file over 600 lines, no function over 80, unless listed with a reason;
//   - names: no package called util, common, types, models and the like;
//   - init: no init functions;
//   - words: no marks of unfinished work, no machine paths, no registry hosts;
//   - layout: nothing unexpected at the top of the repository, the documents that
//     users look for are there, and the notice names every library we import.
//
// Every rule is itself tested against small sources that break it.
package house
