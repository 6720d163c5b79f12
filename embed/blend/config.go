package blend

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Config is what config.json of a static model's directory says of a blend
// under the name "vecino_blend". Other programs, which don't know it, open the
// semantic half alone.
type Config struct {
	// Lexical is the share of the cosine of builtin:hash.
	Lexical float64 `json:"lexical"`
	// Dimension of builtin:hash.
	Dimension int `json:"dimension"`
}

// ConfigName is its name in config.json.
const ConfigName = "vecino_blend"

// maxConfig bounds config.json, in bytes.
const maxConfig = 4 << 20

// ReadConfig reads it; false where the model is no blend.
func ReadConfig(dir string) (Config, bool, error) {
	path := filepath.Join(dir, "config.json")
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, false, nil
	}
	if err != nil {
		return Config{}, false, fmt.Errorf("open model: %w", err)
	}
	defer file.Close()
	var all struct {
		Blend *Config `json:"vecino_blend"`
	}
	if err := json.NewDecoder(io.LimitReader(file, maxConfig)).Decode(&all); err != nil {
		return Config{}, false, fmt.Errorf("open model: %s: %w", path, err)
	}
	if all.Blend == nil {
		return Config{}, false, nil
	}
	if o := (Options{Lexical: all.Blend.Lexical}); all.Blend.Lexical == 0 || o.Validate() != nil {
		return Config{}, false, fmt.Errorf("open model: %s: %s has a lexical share of %g; it is between 0 and 1", path, ConfigName, all.Blend.Lexical)
	}
	return *all.Blend, true, nil
}
