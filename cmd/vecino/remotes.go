package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/alecthomas/kong"

	"github.com/vecino-db/vecino/api"
	endpoint "github.com/vecino-db/vecino/embed/remote"
	"github.com/vecino-db/vecino/embed/remote/egress"
)

// remoteConfig is one entry of the list "remotes" of a configuration file.
type remoteConfig struct {
	Name           string  `json:"name"`
	Kind           string  `json:"kind"` // openai, ollama, tei
	URL            string  `json:"url"`
	Model          string  `json:"model"`
	APIKeyEnv      string  `json:"api_key_env"` // variable that holds the key; the key itself stands in no file
	Dimensions     int     `json:"dimensions"`
	Matryoshka     []int   `json:"matryoshka"`
	QueryPrompt    string  `json:"query_prompt"`
	DocumentPrompt string  `json:"document_prompt"`
	Licence        string  `json:"licence"` // this and the next two make its model card
	Description    string  `json:"description"`
	Source         string  `json:"source"`
	AllowLoopback  bool    `json:"allow_loopback"`
	AllowPrivate   bool    `json:"allow_private"`
	Concurrency    int     `json:"concurrency"`
	TimeoutSeconds float64 `json:"timeout_s"`
}

// remoteList is the flag --remotes: a JSON list, or a list in YAML.
type remoteList []remoteConfig

// Decode reads it.
func (l *remoteList) Decode(ctx *kong.DecodeContext) error {
	token, err := ctx.Scan.PopValue("remotes")
	if err != nil {
		return err
	}
	text, ok := token.Value.(string)
	if !ok {
		marshalled, err := json.Marshal(token.Value)
		if err != nil {
			return fmt.Errorf("remotes: it can't be read: %w", err)
		}
		text = string(marshalled)
	}
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.DisallowUnknownFields()
	var list []remoteConfig
	if err := decoder.Decode(&list); err != nil {
		return fmt.Errorf("remotes: %w; write a list of {name, kind, url, model, ...}", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("remotes: there is something after the list")
	}
	*l = list
	return nil
}

// models are the configured models with their keys, which come from the
// environment.
func (l remoteList) models() ([]api.Remote, error) {
	var out []api.Remote
	for _, c := range l {
		r := api.Remote{
			Name: c.Name, Kind: endpoint.Kind(c.Kind), URL: c.URL, Model: c.Model, Dimensions: c.Dimensions, Matryoshka: c.Matryoshka,
			QueryPrompt: c.QueryPrompt, DocumentPrompt: c.DocumentPrompt,
			Licence: c.Licence, Description: c.Description, Source: c.Source, AllowLoopback: c.AllowLoopback, AllowPrivate: c.AllowPrivate,
			Concurrency: c.Concurrency, Timeout: time.Duration(c.TimeoutSeconds * float64(time.Second)),
		}
		if c.APIKeyEnv != "" {
			key, ok := os.LookupEnv(c.APIKeyEnv)
			if !ok || key == "" {
				return nil, usageError{fmt.Errorf("remote model %s:%s: the variable %s that should hold its key is not set", c.Kind, c.Name, c.APIKeyEnv)}
			}
			r.Key = egress.Secret(key)
		}
		if err := r.Validate(); err != nil {
			return nil, usageError{err}
		}
		out = append(out, r)
	}
	return out, nil
}
