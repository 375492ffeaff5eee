/**
 * Texts per second that one thread tokenises, with the repair of texts (`src/core/text/fix-text.ts`) and without it.
 *
 *     npm run build && node dist/bench/tokenize.js [--rounds 20]
 *
 * `captions` are ASCII; `languages` are the golden texts as ftfy gives them; `mixed` are the same as they were, so that
 * almost half of them need a repair. The repair is timed by itself, in turns with the whole, each by its fastest round.
 */
import { readFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { fixText } from "../src/core/text/fix-text.ts"
import { Tokenizer } from "../src/core/text/tokenizer.ts"
import { captionsOf } from "../src/data/scenes/captions.ts"
import { sampleScene } from "../src/data/scenes/scene.ts"

const { values: options } = parseArgs({ options: { rounds: { type: "string", default: "20" } } })

const golden = new URL("../../test/golden/tokenizer.json", import.meta.url)
const { cases }: { cases: { text: string; fixed: string }[] } = JSON.parse(readFileSync(golden, "utf8"))

const kinds = {
  captions: Array.from({ length: 10_000 }, (_, i) => captionsOf(sampleScene(1, "train", i)).caption),
  languages: Array.from({ length: 30 }, () => cases.map(({ fixed }) => fixed)).flat(),
  mixed: Array.from({ length: 30 }, () => cases.map(({ text }) => text)).flat(),
}

const tokenizer = new Tokenizer()
for (const [kind, texts] of Object.entries(kinds)) {
  let whole = Number.POSITIVE_INFINITY
  let repair = Number.POSITIVE_INFINITY
  for (let round = 0; round < Number(options.rounds); round++) {
    whole = Math.min(
      whole,
      secondsOf(texts, (text) => tokenizer.encode(text)),
    )
    repair = Math.min(repair, secondsOf(texts, fixText))
  }
  const rate = (seconds: number) => `${Math.round(texts.length / seconds).toLocaleString("en-US")} texts a second`
  console.log(
    `${kind}: ${rate(whole)}, ${rate(whole - repair)} without the repair (${(1 - repair / whole).toFixed(3)})`,
  )
}

function secondsOf(texts: readonly string[], work: (text: string) => unknown): number {
  const start = performance.now()
  for (const text of texts) work(text)
  return (performance.now() - start) / 1000
}
