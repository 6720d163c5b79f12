package embed

import "context"

// Priority says who is served first where encodings wait for each other.
type Priority int

// The priorities, the first served first.
const (
	PriorityQuery     Priority = iota // somebody waits for an answer
	PriorityIngest                    // somebody waits for an acknowledgement
	PriorityMigration                 // nobody waits
)

// priorities is the number of them.
const priorities = int(PriorityMigration) + 1

// String is "query", "ingest" or "migration".
func (p Priority) String() string {
	switch p {
	case PriorityQuery:
		return "query"
	case PriorityMigration:
		return "migration"
	}
	return "ingest"
}

// priorityKey is the key of a Priority in a context.
type priorityKey struct{}

// WithPriority is ctx for encodings of a priority. Without it a Scheduler
// takes RoleQuery for PriorityQuery and RoleDocument for PriorityIngest. An
// unknown priority changes nothing.
func WithPriority(ctx context.Context, p Priority) context.Context {
	if p < PriorityQuery || p > PriorityMigration {
		return ctx
	}
	return context.WithValue(ctx, priorityKey{}, p)
}

// priorityOf is the priority of an encoding.
func priorityOf(ctx context.Context, role Role) Priority {
	if p, ok := ctx.Value(priorityKey{}).(Priority); ok {
		return p
	}
	if role == RoleQuery {
		return PriorityQuery
	}
	return PriorityIngest
}
