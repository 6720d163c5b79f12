package api

import (
	"context"
	"fmt"
	"strings"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
)

// licencePrefix begins the line of a card that states the licence.
const licencePrefix = "licence: "

// cardOf is what a generation carries of its model's card: lines of text.
func cardOf(encoder embed.Encoder) string {
	info := encoder.Info()
	if info.Model != ModelHash && info.Licence == "" {
		return "" // there is no card, or one that does not say what one may do
	}
	var parts []string
	for _, part := range []struct{ name, value string }{{"", info.Description}, {licencePrefix, info.Licence}, {"source: ", info.Source}} {
		if part.value != "" {
			parts = append(parts, part.name+part.value)
		}
	}
	card := strings.Join(parts, "\n")
	for len(card) > compat.MaxCardBytes {
		card = card[:len(card)-1]
	}
	return strings.ToValidUTF8(card, "")
}

// LicenceOf is the licence that the model card of a manifest states; "" where
// it states none.
func LicenceOf(m compat.Manifest) string {
	for line := range strings.Lines(m.Evidence.ModelCard) {
		if licence, ok := strings.CutPrefix(line, licencePrefix); ok {
			return strings.TrimSpace(licence)
		}
	}
	return ""
}

// targetCard is the card that the target has at this moment.
func (m *migration) targetCard() string {
	if s, ok := m.c.stored.Standby(); ok && s.Generation == m.get().To {
		return s.Manifest.Evidence.ModelCard
	}
	return m.c.Manifest().Evidence.ModelCard
}

// card: it is stated what people may do with the target's model. What came to
// be stated since the migration began counts.
func (e *evaluation) card(ctx context.Context) error {
	card := e.m.targetCard()
	if now := e.anew.encoding.Load(); card == "" && now.encoder != nil {
		if card = cardOf(now.encoder); card != "" {
			if err := e.c.stored.SetEvidenceOf(ctx, e.record.To, func(have *compat.Evidence) { have.ModelCard = card }); err != nil {
				return err
			}
		}
	}
	e.report.New.Card = card
	if e.record.RequireCard {
		measured := "there is one"
		if card == "" {
			measured = "there is none: " + cardRemedy(e.anew.manifest)
		}
		e.gate("card", card != "", measured, "a model card")
	}
	return nil
}

// noCard refuses a cut-over to a target without a card.
func (m *migration) noCard(to *generation) *Error {
	return &Error{
		Kind: KindConflict, Code: "no_model_card", Detail: fmt.Sprintf("generation %d of %q carries no model card", to.number, m.c.Name()),
		Remedy: cardRemedy(to.manifest) + "; or cut over without require_card",
	}
}

// cardRemedy says how the model of a manifest gets a card.
func cardRemedy(m compat.Manifest) string {
	model := m.Provenance.Model
	switch {
	case m.Space.Raw():
		return "vectors of no declared model have none; abort, and prove their model by manifest/adopt"
	case strings.HasPrefix(model, localPrefix):
		return fmt.Sprintf("put a README.md with a licence in its front matter beside the files of %s, start the server anew, and evaluate", model)
	}
	return fmt.Sprintf("state the licence of %s in the server's configuration (serve.remotes), start it anew, and evaluate", model)
}
