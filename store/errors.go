package store

import (
	"errors"
	"fmt"
)

// Opening a store.
var (
	// ErrNoStore: the directory holds no store and Options.Create is off.
	ErrNoStore = errors.New("no store there")
	// ErrFormat: the directory belongs to another program or a newer version.
	ErrFormat = errors.New("directory of another format")
	// ErrLocked: another process has the store open.
	ErrLocked = errors.New("store is open elsewhere")
	// ErrOptions: Options.Validate refused.
	ErrOptions = errors.New("invalid store options")
)

// Using a store.
var (
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("store is closed")
	// ErrFailed: a write to the disk failed, so nothing more is written until
	// the store is opened again.
	ErrFailed = errors.New("store stopped writing after a disk error")
	// ErrDiskFull: free space is below Options.MinFreeBytes.
	ErrDiskFull = errors.New("disk nearly full")
	// ErrCorrupt: stored data is damaged or missing. Errors are *CorruptionError.
	ErrCorrupt = errors.New("stored data is damaged")
)

// Collections and points.
var (
	ErrNotFound      = errors.New("no such collection")
	ErrExists        = errors.New("collection exists")
	ErrName          = errors.New("invalid collection name")
	ErrPointNotFound = errors.New("no such point")
	// ErrID: an id is empty, too long, not UTF-8, or no unsigned integer.
	ErrID = errors.New("invalid point id")
	// ErrDocument: a document is refused: its text is not UTF-8, its payload is
	// no JSON object, or it is too large.
	ErrDocument = errors.New("invalid document")
	// ErrAlias: there is no such alias.
	ErrAlias = errors.New("no such alias")
	// ErrPayloadIndex: a payload index can't be made as it is asked for.
	ErrPayloadIndex = errors.New("invalid payload index")
	// ErrBatch: the documents and vectors of a batch differ in number, or the
	// batch is too large to be committed whole.
	ErrBatch = errors.New("invalid batch")
	// ErrStandby: a write lacks the vectors of the collection's second
	// generation, which a migration made meanwhile.
	ErrStandby = errors.New("vectors of the second generation are missing")
	// ErrGeneration: the collection has no generation of that number, or it is
	// not in the place that the operation needs.
	ErrGeneration = errors.New("no such generation")
	// ErrIncomplete: a generation lacks vectors of documents, so it can't serve.
	ErrIncomplete = errors.New("generation is incomplete")
	// ErrMigrating: the collection has a second generation already.
	ErrMigrating = errors.New("collection is being migrated")
	// ErrAdopted: the vectors are of a model already, or of another space than
	// they were compared in.
	ErrAdopted = errors.New("vectors are not raw any more")
	// ErrFull: every ordinal of a generation has been handed out.
	ErrFull = errors.New("collection is full")
)

// CorruptionError says which stored thing is damaged. It wraps ErrCorrupt.
type CorruptionError struct {
	Collection string // "": the store as a whole
	Object     string // what was read, for example "document 17"
	Detail     string // what is wrong with it
}

// Error names the object and says what to do.
func (e *CorruptionError) Error() string {
	where, remedy := "the store", "restore the data directory from a backup"
	if e.Collection != "" {
		where = fmt.Sprintf("collection %q", e.Collection)
		remedy += ", or drop the collection and ingest it again"
	}
	return fmt.Sprintf("%v: %s: %s: %s; %s", ErrCorrupt, where, e.Object, e.Detail, remedy)
}

// Unwrap gives ErrCorrupt.
func (e *CorruptionError) Unwrap() error { return ErrCorrupt }
