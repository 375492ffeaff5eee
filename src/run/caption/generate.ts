/** Captions as rows of token ids, by any of the ways, padded as the reference pads them; and as text. */

import type { CaptionDecoder } from "../../core/inference/caption-decoder.ts"
import { endOfText, startOfText, type Tokenizer } from "../../core/text/tokenizer.ts"
import { beamSearch } from "./beam.ts"
import { type GenerateOptions, generateOptions } from "./options.ts"
import { padding, sampleCaptions } from "./sample.ts"

/** Rows the decoder must have: captions, and for beam search the beams of each. */
export function rowsPerCaption({ generationType, numBeams, numBeamGroups }: GenerateOptions): number {
  return generationType === "beam_search" ? numBeams / numBeamGroups : 1
}

/**
 * One caption for each seed: ids with start and end of text, zero-padded to the longest or to `seqLen`. The decoder has
 * `rowsPerCaption` rows for each, in order. Beam search is deterministic and looks at no seed.
 */
export async function generate(
  decoder: CaptionDecoder,
  seeds: readonly number[],
  given: Partial<GenerateOptions> = {},
): Promise<number[][]> {
  const options = generateOptions(given, decoder.contextLength)
  const captions =
    options.generationType === "beam_search"
      ? await beamSearch(decoder, seeds.length, options)
      : await sampleCaptions(decoder, seeds, options)
  const longest = captions.reduce((max, { length }) => Math.max(max, length), 0)
  const length = options.fixedOutputLength ? options.seqLen : longest
  return captions.map((ids) => [...ids, ...new Array<number>(length - ids.length).fill(padding)])
}

/**
 * The text of a caption: what stands between start and end of text. The papers keep the first sentence only, up to a
 * full stop; `whole` keeps all.
 */
export function captionText(ids: readonly number[], tokenizer: Tokenizer, { whole = false } = {}): string {
  const start = ids[0] === startOfText ? 1 : 0
  const end = ids.indexOf(endOfText, start)
  const padded = ids.findIndex((id, i) => id === padding && ids.slice(i).every((rest) => rest === padding))
  const stop = end !== -1 ? end : padded !== -1 ? padded : ids.length
  const text = tokenizer.decode(ids.slice(start, stop))
  return (whole ? text : text.split(".")[0]!).trim()
}
