package store

import (
	"context"
	"errors"
	"maps"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Changes of aliases are whole, survive a crash once they are acknowledged, and
// go with their collections.
func TestAliases(t *testing.T) {
	ctx := context.Background()
	mem := vfs.NewCrashableMem()
	o := testOptionsFor(t, mem)
	s := open(t, o)
	create(t, s, "one", crashManifest())
	create(t, s, "two", crashManifest())
	expect := func(want map[string]string) {
		t.Helper()
		if got := s.Aliases(); !maps.Equal(got, want) {
			t.Fatalf("aliases are %v, want %v", got, want)
		}
		for alias, target := range want {
			if s.Resolve(alias) != target || s.Resolve(target) != target {
				t.Fatalf("%s means %s, want %s", alias, s.Resolve(alias), target)
			}
		}
	}
	for _, step := range []struct {
		changes []AliasChange
		err     error
		want    map[string]string
	}{
		{[]AliasChange{{Alias: "now", Collection: "one"}, {Alias: "next", Collection: "two"}}, nil, map[string]string{"now": "one", "next": "two"}},
		{[]AliasChange{{Alias: "now"}, {Alias: "now", From: "next"}, {Alias: "none"}}, nil, map[string]string{"now": "two"}},
		{[]AliasChange{{Alias: "now", Collection: "one"}, {Alias: "x", Collection: "three"}}, ErrNotFound, map[string]string{"now": "two"}},
		{[]AliasChange{{Alias: "two", Collection: "one"}}, ErrExists, map[string]string{"now": "two"}},
		{[]AliasChange{{Alias: "a", From: "none"}}, ErrAlias, map[string]string{"now": "two"}},
		{[]AliasChange{{Alias: "A b", Collection: "one"}}, ErrName, map[string]string{"now": "two"}},
		{[]AliasChange{{Alias: "also", Collection: "one"}}, nil, map[string]string{"now": "two", "also": "one"}},
	} {
		if err := s.ChangeAliases(ctx, step.changes); !errors.Is(err, step.err) {
			t.Fatalf("%+v: %v, want %v", step.changes, err, step.err)
		}
		expect(step.want)
	}
	if _, err := s.Create(ctx, "now", crashManifest()); !errors.Is(err, ErrExists) {
		t.Errorf("a collection that is called as an alias: %v", err)
	}
	crashed := mem.CrashClone(vfs.CrashCloneCfg{})
	closeStore(t, s)
	o.FS = crashed
	s = open(t, o)
	expect(map[string]string{"now": "two", "also": "one"})
	if err := s.Drop(ctx, "two"); err != nil {
		t.Fatal(err)
	}
	expect(map[string]string{"also": "one"})
	crashed = crashed.CrashClone(vfs.CrashCloneCfg{})
	closeStore(t, s)
	o.FS = crashed
	s = open(t, o)
	expect(map[string]string{"also": "one"})
	closeStore(t, s)
}
