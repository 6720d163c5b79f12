package hub

import (
	"fmt"
	"regexp"
	"strings"
)

// DefaultRevision is what a reference without one asks for.
const DefaultRevision = "main"

// Reference names a model on a hub at a revision.
type Reference struct {
	Repository string // ORG/NAME
	Revision   string // branch, tag or commit
}

var (
	repositoryName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}$`)
	revisionName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$`)
	commitName     = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)
	// modelName is what the API accepts after "local:".
	modelName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
)

// ParseReference reads "ORG/NAME" or "ORG/NAME@REV". The error wraps
// ErrReference.
func ParseReference(text string) (Reference, error) {
	repository, revision, ok := strings.Cut(text, "@")
	if !ok {
		revision = DefaultRevision
	}
	switch {
	case !repositoryName.MatchString(repository) || strings.Contains(repository, ".."):
		return Reference{}, fmt.Errorf("%.120q is %w: write ORG/NAME or ORG/NAME@REVISION, as the hub shows it", text, ErrReference)
	case !revisionName.MatchString(revision) || strings.Contains(revision, "..") || strings.Contains(revision, "//"):
		return Reference{}, fmt.Errorf("%.120q is %w: the revision after @ is a branch, a tag or a commit", text, ErrReference)
	}
	return Reference{Repository: repository, Revision: revision}, nil
}

// Name is the model's name without its organization.
func (r Reference) Name() string {
	_, name, _ := strings.Cut(r.Repository, "/")
	return name
}

// String is what ParseReference reads.
func (r Reference) String() string { return r.Repository + "@" + r.Revision }
