package builtin

import (
	"context"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/hash"
)

// BenchmarkEncode is a batch of 64 texts of about 170 words, the length of an
// abstract, by each of the built-in encoders. Give -cpu 1 for one core.
func BenchmarkEncode(b *testing.B) {
	const words = "the boundary layer separates from a heated wall when pressure rises along it and turbulent mixing carries momentum inwards so that skin friction falls before reattachment"
	var batch []string
	for i := range 64 {
		fields := strings.Fields(words)
		batch = append(batch, strings.Repeat(strings.Join(append(fields[i%len(fields):], fields[:i%len(fields)]...), " ")+". ", 7))
	}
	static, err := OpenStatic(Options{})
	if err != nil {
		b.Fatal(err)
	}
	both, err := OpenBlend()
	if err != nil {
		b.Fatal(err)
	}
	lexical, err := hash.New(hash.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range []embed.Encoder{lexical, static, both} {
		b.Run(e.Info().Model, func(b *testing.B) {
			tokens := 0
			for range b.N {
				out, err := e.Encode(context.Background(), embed.RoleDocument, batch)
				if err != nil {
					b.Fatal(err)
				}
				for _, n := range out.Tokens {
					tokens += n
				}
			}
			b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
			b.ReportMetric(float64(len(batch)*b.N)/b.Elapsed().Seconds(), "texts/s")
		})
	}
}
