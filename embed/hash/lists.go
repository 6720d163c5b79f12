package hash

import "strings"

// StopWords is the list of English function words that give no terms, folded.
func StopWords() []string { return strings.Fields(stopWords) }

// CommonWords is the list of English words that are so common that their terms
// weigh a half, folded. The words that share their stems count with them.
func CommonWords() []string { return strings.Fields(commonWords) }

const stopWords = `
a about above after again against all also am an and any are aren't as at
be because been before being below between both but by
can can't cannot could couldn't did didn't do does doesn't doing don't done down during
each either else ever every few for from further
had hadn't has hasn't have haven't having he he'd he'll he's her here here's hers herself him himself his how how's however
i i'd i'll i'm i've if in into is isn't it it'd it'll it's its itself just let's
may me might mightn't more most much must mustn't my myself
needn't neither no nor not now of off on once one only or other others ought our ours ourselves out over own
per quite rather same shall she she'd she'll she's should shouldn't since so some such
than that that's the their theirs them themselves then there there's therefore these they they'd they'll they're they've
this those though through thus to too under until up upon us very
was wasn't we we'd we'll we're we've were weren't what what's when when's where where's whether which while
who who's whom whose why will with within without won't would wouldn't yet
you you'd you'll you're you've your yours yourself yourselves
`

const commonWords = `
able according almost already always answer anyone anything ask available away
back bad based become became begin began best better big bring brought
call came case cause certain change come common consider
day describe develop different discuss due early easy end enough even everyone everything example
fact far feel felt find found first follow form full
gave general get give given go gone good got great group
happen hard help high hold important include instead
keep kept kind knew know known large last late later lead least leave left less let like likely little long look lot low
made main make man many mean method men move name near necessary need never new next nothing number
obtain often old open order part particular people person place point possible present problem provide public put
question real really reason receive require result right run
said saw say see seem seen set several show shown side simple small someone something sometimes start still study suggest
take taken talk tell thing think thought three time today together told took try turn two type
use usual various want way week well went woman women word work world write year young
`
