/** Whether a source's vectors are taken over: only where they are the index's own model's. */
import type { EmbedEncoder } from "../../../embed/open-encoder.ts"
import { defaultMaxPixels } from "../../../host/image/images.ts"
import { pixelOptions } from "../../../pictures/reading.ts"
import { weightsOf } from "../../query/query-model.ts"
import type { NewGeneration } from "../../store/index-writer.ts"
import type { ImportSource } from "../sources/source.ts"
import { compareVectors, isSameModel, leastCosine, type VectorCheck } from "./same-vectors.ts"
import type { SampledPicture } from "./survey.ts"

export interface VectorDecision {
  readonly reused: boolean
  /** A clause: "they are by the same model". */
  readonly reason: string
  /** Null: nothing was encoded to find out. */
  readonly check: VectorCheck | null
}

export interface DecisionOptions {
  /** The user says that the index's model made the vectors; a sample is compared before it is believed. */
  readonly sameModel: boolean
  /** Compares a sample in any case. */
  readonly check: boolean
  readonly threads?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** @param openEncoder opens the index's model, where pictures have to be encoded to find out */
export async function decideVectors(
  source: ImportSource,
  index: NewGeneration,
  sample: readonly SampledPicture[],
  openEncoder: () => Promise<EmbedEncoder>,
  options: DecisionOptions,
): Promise<VectorDecision> {
  const { dim } = source
  if (dim === null) return no("the source has none")
  if (dim !== index.dim) return no(`they have ${dim} values, and ${index.model} gives ${index.dim}`)
  const known = knownFrom(source, index)
  if (known.isSame && !options.check) return { reused: true, reason: known.reason, check: null }
  if (!known.isSame && !options.sameModel && !options.check)
    return no(`${known.reason}; ${known.hint ?? "where the index's model made them, say so with --same-model"}`)
  if (sample.length === 0) return no("none of its pictures that have one is here, so that they cannot be compared")
  const { orientation, decode } = index.settings
  const reading = pixelOptions({ orientation, decode }, defaultMaxPixels)
  const encoder = await openEncoder()
  const check = await compareVectors(sample, encoder, { decode: reading, ...options })
  const alike = isSameModel(check)
  return {
    reused: alike && (known.isSame || options.sameModel),
    reason: `${found(check)}: ${alike ? "the same" : "another"} model${alike && !known.isSame && !options.sameModel ? "; --same-model takes them over" : ""}`,
    check,
  }
}

function no(reason: string): VectorDecision {
  return { reused: false, reason, check: null }
}

function found({ alike, compared, median }: VectorCheck): string {
  return `${alike} of ${compared} that were encoded again have a cosine of ${leastCosine} or more (median ${median.toFixed(4)})`
}

interface KnownModel {
  readonly isSame: boolean
  readonly reason: string
  /** What to do about it. */
  readonly hint?: string
}

/** What the source itself says of its model. */
function knownFrom({ model }: ImportSource, { identity, settings }: NewGeneration): KnownModel {
  if (model === null) return { isSame: false, reason: "the source does not say which model made them" }
  if (model.identity === null) return { isSame: false, reason: `they are by ${model.name}` }
  if (weightsOf(model.identity) !== weightsOf(identity))
    return { isSame: false, reason: `they are by ${model.name}, whose weights or preprocessing are other ones` }
  if (model.orientation !== settings.orientation)
    return {
      isSame: false,
      reason: `pictures were read with orientation ${model.orientation ?? "unknown"}, here with ${settings.orientation}`,
      hint: `mobileclip embed --orientation ${settings.orientation} makes vectors that fit, or --same-model compares some`,
    }
  return { isSame: true, reason: `they are by the same weights, ${model.name}` }
}
