/** Checks that a sample's embeddings fit its content: a row for each view, a row for each caption, and finite values. */
import { quoted, UserError } from "../../core/errors.ts"
import type { Embeddings, ReinforcedSample } from "./sample.ts"
import { syntheticCount } from "./text-embeddings.ts"

/** Throws UserError naming the array that does not fit, with both counts. */
export function checkRows(sample: ReinforcedSample): void {
  for (const [name, array] of sample.embeddings) {
    if (!allFinite(array.values)) throw new UserError(`${quoted(name)} has values that are not numbers`)
    if (name.startsWith("image_emb")) checkViews(sample, name, array)
    else if (/^texts?_emb/.test(name)) checkCaptions(sample, name, array)
    else checkSynthetic(sample, name, array)
  }
}

/** A loop, because a sample has 25,000 values, and a call for each would take longer than unpacking them. */
function allFinite(values: Float32Array): boolean {
  let zero = 0
  for (let i = 0; i < values.length; i++) zero += values[i]! * 0
  return zero === 0
}

function checkViews({ paramAug }: ReinforcedSample, name: string, { rows }: Embeddings): void {
  if (paramAug?.length === rows) return
  const found = paramAug ? `param_aug has ${paramAug.length} views` : "the views themselves (param_aug) are missing"
  throw new UserError(`${quoted(name)} has ${rows} rows, and ${found}`)
}

/** A row for each original caption, and after them one for each synthetic caption or none. */
function checkCaptions({ texts, synTexts }: ReinforcedSample, name: string, { rows }: Embeddings): void {
  const synthetic = syntheticCount(synTexts)
  if (texts.length === 0 ? rows >= 1 : rows === texts.length || rows === texts.length + synthetic) return
  throw new UserError(`${quoted(name)} has ${rows} rows, for ${texts.length} captions and ${synthetic} synthetic ones`)
}

function checkSynthetic({ synTexts }: ReinforcedSample, name: string, { rows }: Embeddings): void {
  const key = [...synTexts.keys()].find((key) => name.startsWith(`${key}_emb`))
  if (key === undefined || synTexts.get(key)!.length === rows) return
  throw new UserError(`${quoted(name)} has ${rows} rows, for ${synTexts.get(key)!.length} captions of ${quoted(key)}`)
}
