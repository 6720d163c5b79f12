// Command vecino is text in, nearest neighbours out: the server and everything
// around it. Each command is a file; they speak to a server over REST, and
// with --data they start one of their own over a stopped store, so that there
// is one way to do each thing.
//
// Values come from flags, then VECINO_* variables, then the YAML file of
// --config. The exit statuses stand below, in vecino --help and in
// docs/MIGRATION.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/vecino-db/vecino/compat"
)

// The exit statuses.
const (
	exitOK      = 0
	exitFailed  = 1 // also: what was waited for did not come
	exitUsage   = 2 // a wrong command line
	exitRefused = 3 // another embedding space, or no way to what is asked for
)

// cli is the command line.
type cli struct {
	Config configFlag `help:"YAML file with values for flags: by name, or by command and name." placeholder:"FILE"`

	Serve      serveCmd      `cmd:"" help:"Run the server."`
	Quickstart quickstartCmd `cmd:"" help:"See it work: a store, a server, texts in, queries, a refusal."`
	Ingest     ingestCmd     `cmd:"" help:"Put files of texts into a collection."`
	Import     importCmd     `cmd:"" help:"Bring vectors of other programs into a collection."`
	Query      queryCmd      `cmd:"" help:"Find the texts nearest to a text."`
	Embed      embedCmd      `cmd:"" help:"Turn texts into vectors."`
	Models     modelsCmd     `cmd:"" help:"What can encode texts."`
	Manifest   manifestCmd   `cmd:"" help:"What a collection's vectors are."`
	Eval       evalCmd       `cmd:"" help:"Measure models on a judged collection, with intervals."`
	Migrate    migrateCmd    `cmd:"" help:"Lead a collection to another model or index while it serves."`
	Bench      benchCmd      `cmd:"" help:"Measure indexes: recall, queries a second, memory, build."`
	Snapshot   snapshotCmd   `cmd:"" help:"Keep a collection in a file, and restore it."`
	Check      checkCmd      `cmd:"" help:"Verify a stopped store."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

// description teaches by example.
const description = `Text in, nearest neighbours out.

  vecino quickstart                           see it work
  vecino serve --data ./data                  run the server
  vecino ingest -c notes README.md docs/      put texts into a collection
  vecino query -c notes "how do I start it"   find the nearest ones
  vecino manifest show -c notes               what the vectors are
  vecino migrate start -c notes --model M     another model, while it serves

Values come from flags, then VECINO_* variables (VECINO_SERVER for --server),
then the file of --config. --data of a command that needs a server has no
variable: VECINO_DATA is that of serve.

Exit status:
  0  done
  1  failed; also a migration that was waited for and is not ready, or with --auto
     does not serve
  2  wrong command line
  3  another embedding space, or no way to what is asked for: vectors would be mixed
     (ingest, import), are not the model's (manifest adopt), would be others (manifest
     diff), can't be brought over (migrate plan, migrate start)`

// usageError is a wrong command line.
type usageError struct{ error }

// Unwrap gives the reason.
func (e usageError) Unwrap() error { return e.error }

// refusedError says that spaces don't fit, where no request was refused.
type refusedError struct{ error }

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel() // the first one asks for an orderly end
		<-signals
		os.Exit(exitFailed) // the second one ends at once
	}()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main with everything it touches, and returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	exited, err := execute(ctx, args, stdin, stdout, stderr)
	if exited >= 0 {
		return exited
	}
	return report(stderr, err)
}

// grammar is the command line's, to be read into c.
func grammar(c *cli, more ...kong.Option) (*kong.Kong, error) {
	return kong.New(c, append([]kong.Option{kong.Name("vecino"), kong.Description(description), adoptVars(), judgedVars()}, more...)...)
}

// execute runs a command line. exited is the status of one that ended while it
// was read, as --help does; otherwise it is less than 0, and err is the
// command's.
func execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (exited int, err error) {
	var c cli
	exited = -1
	options := []kong.Option{
		kong.DefaultEnvars("VECINO"), kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}), kong.Writers(stdout, stderr), kong.Exit(func(code int) { exited = code; panic(exited) }),
		kong.Bind(&output{Writer: stdout, errors: stderr, input: stdin}), kong.BindTo(ctx, (*context.Context)(nil)),
	}
	if path := os.Getenv("VECINO_CONFIG"); path != "" {
		resolver, err := loadConfig(path)
		if err != nil {
			return exited, usageError{err}
		}
		options = append(options, kong.Resolvers(resolver))
	}
	parser, err := grammar(&c, options...)
	if err != nil {
		return exited, err
	}
	parsed, err := parse(parser, args, &exited)
	if exited < 0 && err == nil {
		err = parsed.Run()
	}
	return exited, err
}

// parse reads the command line. --help ends the parsing by a panic, because
// kong has no other way to end early.
func parse(parser *kong.Kong, args []string, exited *int) (parsed *kong.Context, err error) {
	defer func() {
		if *exited >= 0 {
			recover()
		}
	}()
	if parsed, err = parser.Parse(args); err != nil {
		return nil, usageError{err}
	}
	return parsed, nil
}

// report says what went wrong and gives the exit status.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "vecino: %v\n", err)
	var usage usageError
	var answer refusedError
	var refused *serverError
	switch {
	case errors.As(err, &usage):
		fmt.Fprintln(stderr, "Run vecino --help, or vecino COMMAND --help.")
		return exitUsage
	case errors.Is(err, compat.ErrMismatch), errors.As(err, &answer), errors.As(err, &refused) && refused.anotherSpace():
		return exitRefused
	}
	return exitFailed
}

// quickstartCmd runs the tour.
type quickstartCmd struct {
	Data   string `help:"Data directory; a temporary one that is removed at the end when left out." placeholder:"DIR" env:"-" own:""`
	Listen string `help:"Address of the server; a free port when left out." placeholder:"HOST:PORT"`
	Serve  bool   `help:"Keep the server running until Ctrl-C."`

	Migrate bool     `help:"Show a migration to another model: plan, evaluation, cut-over, rollback." xor:"tour" env:"-"`
	Adapt   bool     `help:"Show a model that is trained on the collection's own texts, and the migration to it." xor:"tour" env:"-"`
	From    string   `help:"With --adapt: texts of yours, one {\"id\", \"text\", \"payload\"} a line, instead of vecino's own documentation." placeholder:"FILE.ndjson" type:"existingfile" env:"-"`
	Ask     []string `help:"With --from: a query to show; may be given again." placeholder:"TEXT" sep:"none" env:"-"`
	Models  string   `help:"With --adapt: directory that the model is installed in; with --data, ./vecino-models when left out." placeholder:"DIR" env:"-"`
}

// Help teaches.
func (quickstartCmd) Help() string {
	return `Examples:
  vecino quickstart
  vecino quickstart --migrate
  vecino quickstart --adapt
  vecino quickstart --adapt --from my-texts.ndjson --ask "what did I write about rye"

Nothing is downloaded, and nothing is left behind unless --data is given.`
}

// Run runs it.
func (c *quickstartCmd) Run(ctx context.Context, out *output) error {
	if !c.Adapt && (c.From != "" || c.Models != "") {
		return usageError{errors.New("--from and --models belong to quickstart --adapt; give it, too")}
	}
	if c.From == "" && len(c.Ask) > 0 {
		return usageError{errors.New("--ask belongs to --from: the other texts come with their queries")}
	}
	return quickstart(ctx, out, quickstartOptions{
		Data: c.Data, Listen: c.Listen, Serve: c.Serve,
		Migrate: c.Migrate, Adapt: c.Adapt, From: c.From, Ask: c.Ask, Models: c.Models,
	})
}
