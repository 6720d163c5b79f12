// Command table trains the general table on the pairs that _corpus made.
//
//	go run ./embed/train/_table vocabulary -pairs DIR -out vocabulary.txt
//	go run ./embed/train/_table train -pairs DIR -vocabulary vocabulary.txt -out DIR [-epochs 3] [-seed 1]
//	go run ./embed/train/_table evaluate -model DIR -data DIR
//	go run ./embed/train/_table check -pairs DIR -data DIR
//	go run ./embed/train/_table pack -model DIR -out embed/builtin/table
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/evaluate"
	"github.com/vecino-db/vecino/embed/static"
	"github.com/vecino-db/vecino/embed/token"
	"github.com/vecino-db/vecino/embed/train"
)

var (
	pairs      = flag.String("pairs", "", "directory of the pairs")
	vocabulary = flag.String("vocabulary", "", "file of the vocabulary, one token a line")
	out        = flag.String("out", "", "what to write")
	model      = flag.String("model", "", "directory of a model to evaluate")
	data       = flag.String("data", "", "directory of cranfield and stsb")
	epochs     = flag.Int("epochs", 3, "epochs")
	seed       = flag.Uint64("seed", 1, "seed")
	size       = flag.Int("size", 30000, "tokens of the vocabulary")
	words      = flag.Int("words", 24000, "words of the vocabulary")
	threads    = flag.Int("threads", 1, "threads")
	rate       = flag.Float64("rate", 0.01, "rate")
	share      = flag.Int("share", 1, "train on each n-th pair only")
	dim        = flag.Int("dim", 256, "dimensions")
)

func main() {
	if len(os.Args) < 2 {
		log.Fatal("say what to do: vocabulary, train, evaluate, check or pack")
	}
	if err := flag.CommandLine.Parse(os.Args[2:]); err != nil {
		log.Fatal(err)
	}
	do := map[string]func() error{"vocabulary": makeVocabulary, "train": makeTable, "evaluate": func() error { return judge(*model) }, "pack": pack, "check": check}[os.Args[1]]
	if do == nil {
		log.Fatalf("%q is nothing to do", os.Args[1])
	}
	if err := do(); err != nil {
		log.Fatal(err)
	}
}

// each calls f for every pair, the sources in the order of their names.
func each(f func(source, query, document string)) error {
	files, err := filepath.Glob(filepath.Join(*pairs, "*.tsv"))
	if err != nil {
		return err
	}
	slices.Sort(files)
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".tsv")
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if query, document, ok := strings.Cut(lines.Text(), "\t"); ok {
				f(name, query, document)
			}
		}
		if err := lines.Err(); err != nil {
			return err
		}
		file.Close()
	}
	return nil
}

func makeVocabulary() error {
	c := train.NewCounter()
	err := each(func(source, query, document string) {
		c.Add(source, query)
		c.Add(source, document)
	})
	if err != nil {
		return err
	}
	tokens, err := c.BuildVocabulary(*size, *words)
	if err != nil {
		return err
	}
	return os.WriteFile(*out, []byte(strings.Join(tokens, "\n")+"\n"), 0o644)
}

func makeTable() error {
	text, err := os.ReadFile(*vocabulary)
	if err != nil {
		return err
	}
	file, err := train.TokenizerFile(strings.Fields(string(text)))
	if err != nil {
		return err
	}
	tokenizer, err := token.Parse(file)
	if err != nil {
		return err
	}
	const heldShare = 100
	set, held := train.NewSet(tokenizer, 48, 96), train.NewSet(tokenizer, 48, 96)
	times, err := readTimes()
	if err != nil {
		return err
	}
	n, dropped := 0, 0
	start := time.Now()
	unjudged := func(string, string) bool { return true }
	if *data != "" {
		if unjudged, err = clean(); err != nil {
			return err
		}
	}
	err = each(func(source, query, document string) {
		n++
		if !unjudged(query, document) {
			dropped++
			return
		}
		if n%heldShare == 0 {
			held.Add(source, query, document)
		} else if n%*share == 0 {
			set.Add(source, query, document)
			for i := 1; i < times[source]; i++ {
				// A source of its own, so that no batch has a pair twice.
				set.Add(fmt.Sprint(source, "#", i), query, document)
			}
		}
	})
	if err != nil {
		return err
	}
	fmt.Printf("%s; held out: %s; %d dropped because they share words with a judged text; %v\n", set, held, dropped, time.Since(start).Round(time.Millisecond))
	m, err := train.Fresh(tokenizer, *dim, set, *seed)
	if err != nil {
		return err
	}
	o := train.Options{Epochs: *epochs, Seed: *seed, Threads: *threads, Rate: *rate, Held: held, Progress: show}
	report, err := train.Run(context.Background(), m, set, o)
	if err != nil {
		return err
	}
	summary, err := json.Marshal(report)
	if err != nil {
		return err
	}
	fmt.Printf("%s\n%.0f pairs/s\n", summary, float64(report.Pairs)/report.Elapsed.Seconds())
	files, err := train.Pack(m, file, []int{64, 128}, "", nil)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(*out); err != nil {
		return err
	}
	if err := files.Write(*out); err != nil {
		return err
	}
	if *data == "" {
		return nil
	}
	return judge(*out)
}

// readTimes reads how often an epoch takes the pairs of a source.
func readTimes() (map[string]int, error) {
	content, err := os.ReadFile(filepath.Join(*pairs, "counts.json"))
	if err != nil {
		return nil, err
	}
	var sources []struct {
		Name  string `json:"name"`
		Times int    `json:"times"`
	}
	if err := json.Unmarshal(content, &sources); err != nil {
		return nil, err
	}
	times := map[string]int{}
	for _, s := range sources {
		times[s.Name] = s.Times
	}
	return times, nil
}

func show(p train.Progress) {
	if p.Step%100 == 0 {
		fmt.Printf("\rstep %d of %d, loss %.3f, %.0f pairs/s, held out %.3f ", p.Step, p.Steps, p.Loss, float64(p.Pairs)/p.Elapsed.Seconds(), p.Held.First)
		if p.Step%1000 == 0 {
			fmt.Println()
		}
	}
}

// pack compresses a model's files for the program.
func pack() error {
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"model.safetensors", "tokenizer.json"} {
		content, err := os.ReadFile(filepath.Join(*model, name))
		if err != nil {
			return err
		}
		w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
		if err != nil {
			return err
		}
		packed := w.EncodeAll(content, nil)
		fmt.Printf("%s: %d bytes, packed %d\n", name, len(content), len(packed))
		if err := os.WriteFile(filepath.Join(*out, name+".zst"), packed, 0o644); err != nil {
			return err
		}
	}
	config, err := os.ReadFile(filepath.Join(*model, "config.json"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(*out, "config.json"), config, 0o644)
}

// judge prints what a model reaches on the two public collections.
func judge(dir string) error {
	for _, d := range []int{64, 128, 256} {
		if d > *dim {
			continue
		}
		e, err := static.Open(dir, static.Options{Dimension: d})
		if err != nil {
			return err
		}
		if err := judgeEncoder(fmt.Sprint(d), e); err != nil {
			return err
		}
		if err := e.Close(); err != nil {
			return err
		}
	}
	return nil
}

func judgeEncoder(name string, e embed.Encoder) error {
	ctx := context.Background()
	c, err := evaluate.Open(filepath.Join(*data, "cranfield"))
	if err != nil {
		return err
	}
	r, err := evaluate.Retrieve(ctx, e, c)
	if err != nil {
		return err
	}
	list, err := evaluate.OpenPairs(filepath.Join(*data, "stsb", "stsb-en-dev.csv"))
	if err != nil {
		return err
	}
	var people, cosines []float64
	for _, p := range list {
		people = append(people, p.Score)
		v, err := e.Encode(ctx, embed.RoleDocument, []string{p.A, p.B})
		if err != nil {
			cosines = append(cosines, 0)
			continue
		}
		cosines = append(cosines, evaluate.Cosine(v.Vectors.Row(0), v.Vectors.Row(1)))
	}
	s, err := evaluate.Spearman(people, cosines)
	if err != nil {
		return err
	}
	fmt.Printf("%-8s Cranfield nDCG@10 %.4f recall@100 %.4f; STS-B dev %.4f\n", name, r.NDCG10, r.Recall100, s)
	return nil
}
