// Package migrate leads a collection from its serving generation to a target
// generation, online, and goes on where it was after any interruption. It is
// pure logic: it reads and writes through the small interfaces that it declares.
//
// # States
//
//	planned -> backfilling -> catching_up -> evaluating -> ready
//	        -> cut_over -> rollback_window -> committed
//
// and beside them paused, failed, aborted and rolled_back. The table in state.go
// has every step that there is; another is ErrStep. What happens in a state:
//
//	backfilling      the target gets the vectors of what was there at the start
//	catching_up      and of what writers could not bring themselves
//	evaluating       the gates are measured
//	ready            they have passed; queries still go to the old generation
//	cut_over         queries go to the target
//	rollback_window  so they do, and the old generation is kept current
//	committed        the old generation is gone; final
//	rolled_back      queries go to the old generation, and the target is current
//	paused           nothing is encoded; writes still go to both generations
//	failed           as paused: Migration.Reason says why, resume tries again;
//	                 without a target (Migration.InPlace) nothing has changed
//	aborted          the target is gone; final
//
// # What is never done twice
//
// There is no list of what was done. The Backlog is the documents that the
// target lacks, as the store sees them: an embedding and the fact that it is
// there are one record. A run that was killed asks again and gets what is left,
// at most one batch of it for the second time.
//
// # Pace
//
// Limits bound the tokens of a second, by the Runner's rests, and the processor
// time of a second, by the rests of a Pace that whoever does the batches takes
// between pieces of them. Both hold over encoding and linking alike, and may change
// while it runs. How queries go first is the batches' own affair, too.
package migrate
