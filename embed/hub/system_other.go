//go:build !linux && !darwin

package hub

import (
	"os"
	"strings"
)

func freeSpace(*os.File) (bytes uint64, ok bool) { return 0, false }

// tryLock locks nothing here: that no two pulls run at once is for the user to
// see to.
func tryLock(*os.File) bool { return true }

// isNoSpace goes by the text, as the systems number the error differently.
func isNoSpace(err error) bool {
	text := strings.ToLower(err.Error())
	return strings.Contains(text, "no space") || strings.Contains(text, "not enough space") || strings.Contains(text, "quota")
}
