/**
 * Beam search as open_clip's CoCa does it, on Hugging Face's BeamSearchScorer: scores add up plain logits (not their
 * logarithmic softmax, as elsewhere), a caption's score is divided by its length, and an image is done when no open
 * caption can still become better than the finished ones. The reference's groups are equal, so one is computed.
 */

import type { CaptionDecoder } from "../../core/inference/caption-decoder.ts"
import { endOfText, startOfText } from "../../core/text/tokenizer.ts"
import type { GenerateOptions } from "./options.ts"
import { applyRules } from "./processors.ts"

/** A caption without its end of text, and its score. */
interface Hypothesis {
  readonly score: number
  readonly caption: readonly number[]
}

interface Beam {
  readonly caption: readonly number[]
  /** Sum of the logits of its tokens. */
  readonly sum: number
  /** Row in the decoder. */
  readonly row: number
}

interface Search {
  beams: readonly Beam[]
  finished: Hypothesis[]
  done: boolean
}

/** The best caption of each of `images` images; the decoder's rows are `beams` for each. Rows are not padded. */
export async function beamSearch(
  decoder: CaptionDecoder,
  images: number,
  options: GenerateOptions,
): Promise<number[][]> {
  const width = options.numBeams / options.numBeamGroups
  const searches = Array.from({ length: images }, (_, image) => begin(image, width))
  let parents: number[] | null = null
  for (let length = 1; length < options.seqLen && searches.some(({ done }) => !done); length++) {
    const beams = searches.flatMap((search) => search.beams)
    const logits = await decoder.step(
      beams.map(({ caption }) => caption.at(-1)!),
      parents,
    )
    for (const [i, search] of searches.entries()) {
      if (search.done) search.beams = search.beams.map((beam, k) => ({ ...beam, row: i * width + k }))
      else advance(search, logits, i * width, decoder.vocabSize, options)
    }
    parents = searches.flatMap((search) => search.beams.map(({ row }) => row))
  }
  return finish(searches, options.seqLen)
}

/** All beams but one begin hopeless, so that the first step does not give the same caption several times. */
function begin(image: number, width: number): Search {
  const beams = Array.from({ length: width }, (_, k) => ({
    caption: [startOfText],
    sum: k === 0 ? 0 : -1e9,
    row: image * width + k,
  }))
  return { beams, finished: [], done: false }
}

function advance(
  search: Search,
  logits: Float32Array,
  firstRow: number,
  vocabSize: number,
  options: GenerateOptions,
): void {
  const width = search.beams.length
  const scores = search.beams.map(({ caption, sum }, k) => {
    const row = logits.slice((firstRow + k) * vocabSize, (firstRow + k + 1) * vocabSize)
    applyRules(row, caption, options)
    return row.map((logit) => logit + sum)
  })
  const best = largest(scores, 2 * width)
  const next: Beam[] = []
  const length = search.beams[0]!.caption.length + 1
  for (const [rank, { beam, id, score }] of best.entries()) {
    const { caption } = search.beams[beam]!
    if (id !== endOfText) next.push({ caption: [...caption, id], sum: score, row: firstRow + beam })
    else if (rank < width) keep(search, { score: score / length, caption }, width)
    if (next.length === width) break
  }
  search.beams = next
  const worst = Math.min(...search.finished.map(({ score }) => score))
  search.done = search.finished.length === width && worst >= best[0]!.score / length
}

/** The `width` best finished captions. */
function keep(search: Search, hypothesis: Hypothesis, width: number): void {
  const finished = [...search.finished, hypothesis].sort((a, b) => b.score - a.score)
  search.finished = finished.slice(0, width)
}

interface Candidate {
  readonly beam: number
  readonly id: number
  readonly score: number
}

/** The `count` largest of all rows, in order. */
function largest(rows: readonly Float32Array[], count: number): Candidate[] {
  const best: Candidate[] = []
  rows.forEach((row, beam) => {
    row.forEach((score, id) => {
      if (best.length === count && score <= best.at(-1)!.score) return
      const place = best.findIndex((other) => score > other.score)
      best.splice(place === -1 ? best.length : place, 0, { beam, id, score })
      if (best.length > count) best.pop()
    })
  })
  return best
}

/** Open captions count as they are; the best of all gets its end of text where there is room. */
function finish(searches: readonly Search[], seqLen: number): number[][] {
  return searches.map((search) => {
    const open = search.done ? [] : search.beams.map(({ caption, sum }) => ({ score: sum / caption.length, caption }))
    for (const hypothesis of open) keep(search, hypothesis, search.beams.length)
    const { caption } = search.finished[0]!
    return caption.length < seqLen ? [...caption, endOfText] : [...caption]
  })
}
