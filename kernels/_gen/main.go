// Command _gen writes the assembly files of the kernels.
//
//	go run .          writes them
//	go run . -check   writes nothing; exits 1 when a file differs from what would be written
//
// The amd64 files come from avo, which allocates the registers and writes the Go
// stubs. avo has no arm64, so those files come from the small printer in
// neon.go. This directory is a module of its own, so that avo is no dependency
// of those who import the kernels.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// file is one file to be written, its path relative to the kernels directory.
type file struct {
	path string
	text []byte
}

func main() {
	check := flag.Bool("check", false, "compare only; exit 1 when a file differs")
	root := flag.String("kernels", "..", "the kernels `directory`")
	flag.Parse()
	if err := run(*root, *check); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(root string, check bool) error {
	files, err := generate()
	if err != nil {
		return err
	}
	differ := 0
	for _, f := range files {
		path := filepath.Join(root, f.path)
		have, err := os.ReadFile(path)
		if err == nil && bytes.Equal(have, f.text) {
			continue
		}
		if check {
			fmt.Fprintln(os.Stderr, "differs from its generator:", path)
			differ++
			continue
		}
		if err := os.WriteFile(path, f.text, 0o644); err != nil {
			return err
		}
		fmt.Println("wrote", path)
	}
	if differ > 0 {
		return fmt.Errorf("%d of %d files differ: run go generate ./kernels/... and commit the result", differ, len(files))
	}
	return nil
}

// generate returns all files, in a fixed order.
func generate() ([]file, error) {
	var files []file
	for _, p := range []struct {
		pkg, base string
		amd64     func(*amd64)
		arm64     func(*neon)
	}{
		{"f32", "dot", f32Reductions, f32NEON},
		{"f32", "map", f32Maps, f32MapsNEON},
		{"i8", "dot", i8Dots, i8NEON},
		{"codes", "dot", codeDots, codesNEON},
		{"beam", "insert", beamInserts, nil},
		{"gemm", "sgemm", gemmF32, gemmNEON},
		{"gemm", "igemm", gemmI8, nil},
		{"gemm", "pack", gemmPack, nil},
		{"kerneltest", "peak", peak, nil},
	} {
		if p.amd64 != nil {
			fs, err := printAMD64(p.pkg, p.base, p.amd64)
			if err != nil {
				return nil, fmt.Errorf("%s/%s for amd64: %w", p.pkg, p.base, err)
			}
			files = append(files, fs...)
		}
		if p.arm64 != nil {
			fs, err := printNEON(p.pkg, p.base, p.arm64)
			if err != nil {
				return nil, fmt.Errorf("%s/%s for arm64: %w", p.pkg, p.base, err)
			}
			files = append(files, fs...)
		}
	}
	return files, nil
}
