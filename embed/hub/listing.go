package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/vecino-db/vecino/embed/remote/egress"
)

// The bounds of what a hub may say of a model.
const (
	maxInfoBytes = 16 << 20
	maxPages     = 64
	maxListed    = 50_000
)

// resolve is the commit of a revision.
func (c *Client) resolve(ctx context.Context, r Reference) (string, error) {
	body, _, err := c.read(ctx, c.repository([]string{"api", "models"}, r.Repository, "revision", r.Revision), maxInfoBytes)
	if err != nil {
		return "", fmt.Errorf("model %s: %w", r, err)
	}
	var info struct {
		SHA string `json:"sha"`
	}
	if err := json.Unmarshal(body, &info); err != nil || !commitName.MatchString(info.SHA) {
		return "", fmt.Errorf("model %s: %w: it names no commit: check HF_ENDPOINT", r, ErrAnswer)
	}
	if commitName.MatchString(r.Revision) && info.SHA != r.Revision {
		return "", fmt.Errorf("model %s: %w: it answers with the commit %s: check HF_ENDPOINT", r, ErrAnswer, info.SHA)
	}
	return info.SHA, nil
}

// list is every file of a commit. All names are safe, and sizes are not
// checked.
func (c *Client) list(ctx context.Context, repository, commit string) ([]remoteFile, error) {
	next := c.repository([]string{"api", "models"}, repository, "tree", commit)
	next.RawQuery = "recursive=true"
	var files []remoteFile
	for range maxPages {
		body, header, err := c.read(ctx, next, maxInfoBytes)
		if err != nil {
			return nil, fmt.Errorf("list of the files of %s: %w", repository, err)
		}
		page, err := parsePage(body)
		if err != nil {
			return nil, err
		}
		if files = append(files, page...); len(files) > maxListed {
			return nil, fmt.Errorf("%s is %w: more than %d files: choose another model", repository, ErrTooLarge, maxListed)
		}
		more, err := c.nextPage(next, header.Values("Link"))
		if err != nil || more == nil {
			return files, err
		}
		next = more
	}
	return nil, fmt.Errorf("%s is %w: its list of files has more than %d pages: choose another model", repository, ErrTooLarge, maxPages)
}

// parsePage reads a page of a listing: the hub's entries of type "file".
func parsePage(body []byte) ([]remoteFile, error) {
	var entries []struct {
		Type string `json:"type"`
		Path string `json:"path"`
		Size int64  `json:"size"`
		LFS  *struct {
			OID  string `json:"oid"`
			Size int64  `json:"size"`
		} `json:"lfs"`
	}
	if err := json.Unmarshal(body, &entries); err != nil {
		return nil, fmt.Errorf("%w: the list of files can't be read (%.200q): check HF_ENDPOINT", ErrAnswer, err.Error())
	}
	var files []remoteFile
	for _, e := range entries {
		if err := safeName(e.Path); err != nil {
			return nil, err
		}
		if e.Type != "file" {
			continue
		}
		f := remoteFile{Path: e.Path, Size: e.Size}
		if e.LFS != nil {
			f.SHA256 = strings.ToLower(strings.TrimPrefix(e.LFS.OID, "sha256:"))
			if !isSHA256(f.SHA256) || e.LFS.Size != e.Size {
				return nil, fmt.Errorf("%w: the entry of %q contradicts itself or has no SHA-256: check HF_ENDPOINT", ErrAnswer, e.Path)
			}
		}
		files = append(files, f)
	}
	return files, nil
}

func isSHA256(text string) bool { return len(text) == 64 && commitName.MatchString(text) }

// linkTarget is one link of a header: its URL and its parameters.
var (
	linkTarget = regexp.MustCompile(`<([^>]*)>((?:\s*;[^;,]*)*)`)
	relNext    = regexp.MustCompile(`(?i);\s*rel\s*=\s*"?next"?\s*(?:;|$)`)
)

// nextPage finds the next page in Link headers (RFC 8288); nil: there is none.
// It must lie on the same host.
func (c *Client) nextPage(from *url.URL, links []string) (*url.URL, error) {
	for _, link := range linkTarget.FindAllStringSubmatch(strings.Join(links, ","), -1) {
		if !relNext.MatchString(link[2]) {
			continue
		}
		to, err := from.Parse(link[1])
		if err != nil || to.Scheme != from.Scheme || egress.HostPort(to) != egress.HostPort(from) {
			return nil, fmt.Errorf("%w: the list of files goes on at another host: choose another hub", ErrRedirect)
		}
		return to, nil
	}
	return nil, nil
}
