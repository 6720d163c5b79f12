package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// release is the version of the program.
const release = "0.1.0"

// version is the release, with the revision it was built from where the
// binary knows it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return release
	}
	revision, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			revision = "+" + s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = ".changed"
		}
	}
	if revision == "" {
		return release
	}
	return release + revision + dirty
}

// versionCmd prints the version.
type versionCmd struct {
	JSON bool `help:"Print JSON."`
}

// Run prints.
func (c *versionCmd) Run(out *output) error {
	if c.JSON {
		return out.JSON(map[string]string{"vecino": version(), "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
	}
	_, err := fmt.Fprintf(out, "vecino %s (%s, %s/%s)\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
