/**
 * Fixed pictures and texts, which an export is compared on with the model it came from. The manifest keeps what the reference
 * gave, so that a copy can be tested without it, on any runtime.
 */
import { inputImage } from "../core/arrays/fill.ts"
import type { TowerFile, TowerSelfTest } from "../core/inference/manifest.ts"
import { Tokenizer } from "../core/text/tokenizer.ts"
import type { Feed, Graph } from "./graph.ts"

/** Their lengths are very different, because a causal tower cuts the batch after the longest; the last one fills the context. */
export const selfTestTexts: readonly string[] = ["a photo of a cat.", "", "many words, ".repeat(50)]

/** How many fixed inputs there are. */
export const selfTestRows = selfTestTexts.length

/** Rows of a tower's input: pixels [batch, 3, size, size] or token ids [batch, contextLength]. */
export type TowerInput =
  | { readonly tower: "image"; readonly data: Float32Array; readonly shape: readonly number[] }
  | { readonly tower: "text"; readonly data: BigInt64Array; readonly shape: readonly number[] }

/** The first one to three of the fixed pictures or texts. */
export function fixedInput(
  tower: TowerInput["tower"],
  { imageSize, contextLength }: { readonly imageSize: number; readonly contextLength: number },
  batch: number,
): TowerInput {
  if (tower === "image") return { tower, data: inputImage(imageSize, batch), shape: [batch, 3, imageSize, imageSize] }
  const { ids, shape } = new Tokenizer().encodeBatch(selfTestTexts.slice(0, batch), contextLength)
  return { tower, data: ids, shape }
}

/** [batch, embedDim] */
export async function embed(
  graph: Graph,
  { input, output }: Pick<TowerFile, "input" | "output">,
  feed: Feed,
): Promise<Float32Array> {
  const { [output]: embeddings } = await graph.run({ [input]: feed }, [output])
  return embeddings!.data
}

/** How many values of each of the three embeddings are kept; the norm covers the others. */
const keptValues = 8

/** What a manifest keeps of embeddings [selfTestRows, embedDim]. */
export function summarize(rows: Float32Array): TowerSelfTest {
  const width = rows.length / selfTestRows
  const each = selfTestTexts.map((_, i) => rows.subarray(i * width, (i + 1) * width))
  return {
    values: each.map((row) => [...row.subarray(0, keptValues)]),
    norms: each.map((row) => Math.hypot(...row)),
    standardDeviation: standardDeviation(rows),
  }
}

/**
 * How well two summaries agree, from 1 for the same vectors down: the lowest cosine of the kept values of a row, or the ratio
 * of its norms where that is lower. NaN where a value is not a number.
 */
export function agreement(found: TowerSelfTest, expected: TowerSelfTest): number {
  const perRow = expected.values.flatMap((values, i) => {
    const ratio = found.norms[i]! / expected.norms[i]!
    return [cosine(found.values[i]!, values), Math.min(ratio, 1 / ratio)]
  })
  return Math.min(...perRow)
}

function cosine(a: readonly number[], b: readonly number[]): number {
  const dot = a.reduce((sum, value, i) => sum + value * b[i]!, 0)
  return dot / (Math.hypot(...a) * Math.hypot(...b))
}

export function standardDeviation(values: Float32Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length)
}
