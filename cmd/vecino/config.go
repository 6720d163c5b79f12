package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
)

// configFlag names the configuration file.
type configFlag string

// BeforeResolve reads the file before the flags get their values.
func (configFlag) BeforeResolve(parsed *kong.Context, trace *kong.Path) error {
	path, ok := parsed.FlagValue(trace.Flag).(configFlag)
	if !ok || path == "" {
		return nil
	}
	resolver, err := loadConfig(string(path))
	if err != nil {
		return err
	}
	parsed.AddResolver(resolver)
	return nil
}

// config gives flags their values from a YAML file, where neither the command
// line nor the environment does.
type config struct {
	path   string
	values *koanf.Koanf
}

// loadConfig reads a file. A value stands under the flag's name ("server:
// URL"), or under the command and the flag's name ("serve: {data: DIR}"),
// which goes first. A flag with the tag own has the second form only: a data
// directory for serve must not turn the commands that speak to it away from it.
func loadConfig(path string) (kong.Resolver, error) {
	values := koanf.New(".")
	if err := values.Load(file.Provider(path), yaml.Parser()); err != nil {
		return nil, usageError{fmt.Errorf("configuration %s: %w", path, err)}
	}
	return &config{path: path, values: values}, nil
}

// Validate refuses names that no command has: a misspelt one would be ignored.
func (c *config) Validate(app *kong.Application) error {
	known := map[string]bool{}
	var visit func(n *kong.Node, command string)
	visit = func(n *kong.Node, command string) {
		for _, f := range n.Flags {
			known[f.Name] = true
			if command != "" {
				known[command+"."+f.Name] = true
			}
		}
		for _, child := range n.Children {
			visit(child, strings.TrimPrefix(command+"."+child.Name, "."))
		}
	}
	visit(app.Node, "")
	for _, key := range c.values.Keys() {
		if !known[key] {
			return fmt.Errorf("configuration %s: there is no flag %q; write a flag's name, or a command and a flag's name", c.path, key)
		}
	}
	return nil
}

// Resolve finds a flag's value.
func (c *config) Resolve(_ *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if _, ok := os.LookupEnv(name); ok {
			return nil, nil
		}
	}
	var keys []string
	if !flag.Tag.Has("own") {
		keys = append(keys, flag.Name)
	}
	if parent.Command != nil {
		keys = slices.Insert(keys, 0, strings.ReplaceAll(strings.TrimPrefix(parent.Command.Path(), "vecino "), " ", ".")+"."+flag.Name)
	}
	for _, key := range keys {
		if c.values.Exists(key) {
			return c.values.Get(key), nil
		}
	}
	return nil, nil
}
