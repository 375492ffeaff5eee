/**
 * Two defaults of search, measured: from which cosine on pictures are duplicates, and what words of captions add to a cosine.
 *
 *     npm run build && node dist/bench/search-defaults.js MODEL DIR [--pictures 1000] [--draws 3]
 *
 * DIR has a folder for each class, or is `scenes` (bench/search/class-pictures.ts). Duplicates: copies of `--pictures` pictures
 * that were edited in one way each are found where they are as near to their original as the threshold; beside it stands which
 * share of all pictures is as near to one that is not a copy of it, and how many pairs there are of such. Words: captions say the
 * class of some pictures and a wrong class of others; precision of texts that name a class, by the weight of words, over draws of
 * the captions.
 */
import { parseArgs } from "node:util"
import { spacedPercent, textTable } from "../src/cli/table.ts"
import { Random } from "../src/core/arrays/random.ts"
import { cosines } from "../src/core/arrays/similarity.ts"
import { MobileCLIP } from "../src/index.ts"
import { wordsOf } from "../src/search/query/rows/words.ts"
import { classPictures } from "./search/class-pictures.ts"
import { cosinesOfCopies, edits, encodeAll, neighboursOf } from "./search/edited-copies.ts"
import { type Captions, type Labelled, precisionByWeight } from "./search/word-weights.ts"

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { pictures: { type: "string", default: "1000" }, draws: { type: "string", default: "3" } },
})
const [model, place] = positionals
if (model === undefined || place === undefined) throw new Error("MODEL and DIR, or scenes, were expected")
const { pictures: given, classNames, phrasings } = classPictures(place)

const thresholds = [0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995]
const plainWeights = [0, 0.05, 0.1, 0.2, 0.5]
/** In standard deviations of a text's cosines: 0.1 is about four of them in published models. */
const inDeviations = [1, 2, 4]
const cutoffs = [10, 100]
const captions: readonly Captions[] = [
  { right: 0.3, wrong: 0.05 },
  { right: 0.05, wrong: 0.05 },
  { right: 0.05, wrong: 0.3 },
]

const [bytes, labels]: [Buffer[], number[]] = [[], []]
for await (const picture of given) {
  bytes.push(picture.bytes)
  labels.push(picture.label)
}
await using clip = await MobileCLIP.load(model)
const vectors = await encodeAll(clip, bytes)
console.log(`${bytes.length.toLocaleString("en")} pictures of ${classNames.length} classes`)
await reportDuplicates()
await reportWords({ classNames, labels, vectors, dim: clip.embedDim })

async function reportDuplicates(): Promise<void> {
  const chosen = sample(Number(options.pictures))
  const dim = clip.embedDim
  const own = new Float32Array(chosen.length * dim)
  for (const [i, row] of chosen.entries()) own.set(vectors.subarray(row * dim, (row + 1) * dim), i * dim)
  const originals = chosen.map((row) => bytes[row]!)
  const found: Record<string, Float32Array> = {}
  for (const [name, edit] of Object.entries(edits)) found[name] = await cosinesOfCopies(clip, originals, own, edit)
  const { nearest, pairs } = neighboursOf(vectors, dim, thresholds)
  const rows = [
    ...Object.entries(found).map(([name, own]) => [name, ...thresholds.map((least) => shareOf(own, least))]),
    ["another picture as near", ...thresholds.map((least) => shareOf(nearest, least))],
    ["pairs of other pictures", ...pairs.map((count) => count.toLocaleString("en"))],
  ]
  print(`copies of ${chosen.length} pictures that are found`, ["threshold", ...thresholds.map(String)], rows)
}

/** Rows spread over all classes. */
function sample(count: number): number[] {
  const random = Random.of(1, "copies")
  const rows = labels.map((_, row) => ({ row, place: random.uniform() })).sort((a, b) => a.place - b.place)
  return rows.slice(0, count).map(({ row }) => row)
}

function shareOf(found: Float32Array, least: number): string {
  return spacedPercent(found.filter((cosine) => cosine >= least).length / found.length)
}

async function reportWords(pictures: Labelled): Promise<void> {
  const queries = classNames.flatMap((name, label) => textsOf(name).map((text) => ({ text, label })))
  const deviation = await deviationOf(queries.map(({ text }) => text))
  const weights = [...plainWeights, ...inDeviations.map((times) => Math.min(1, times * deviation))]
  const shown = weights.map((weight) => [`${weight.toFixed(2)} (${(weight / deviation).toFixed(1)})`])
  for (const shares of captions) {
    const draws: number[][][] = []
    for (let seed = 0; seed < Number(options.draws); seed++)
      draws.push(
        await precisionByWeight({ model: model!, pictures, captions: shares, queries, weights, cutoffs, seed }),
      )
    shown.forEach((row, w) => {
      row.push(...cutoffs.map((_, c) => (draws.reduce((sum, rows) => sum + rows[w]![c]!, 0) / draws.length).toFixed(3)))
    })
  }
  const titles = captions.flatMap(({ right, wrong }) =>
    cutoffs.map((cutoff) => `${100 * right} % right, ${100 * wrong} % wrong: at ${cutoff}`),
  )
  print(`precision of ${queries.length} texts, by weight (in standard deviations)`, ["weight", ...titles], shown)
}

/** Those without a word that no caption has, which would share the weight. */
function textsOf(name: string): string[] {
  return phrasings(name).filter((text) => wordsOf([{ weight: 1, text }]).length === 1)
}

/** The standard deviation of a text's cosines with all pictures: the mean over the texts. */
async function deviationOf(texts: readonly string[]): Promise<number> {
  const rows = vectors.length / clip.embedDim
  const deviations = []
  for (const text of texts) {
    const scores = cosines(vectors, await clip.encodeText(text), clip.embedDim)
    const mean = scores.reduce((sum, score) => sum + score, 0) / rows
    deviations.push(Math.sqrt(scores.reduce((sum, score) => sum + (score - mean) ** 2, 0) / rows))
  }
  return deviations.reduce((sum, value) => sum + value, 0) / texts.length
}

function print(title: string, titles: readonly string[], rows: readonly (readonly string[])[]): void {
  const columns = titles.map((title, i) => ({ title, align: i === 0 ? ("left" as const) : ("right" as const) }))
  console.log(`\n${title}\n${textTable(columns, rows)}`)
}
