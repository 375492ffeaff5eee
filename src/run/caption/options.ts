/**
 * How captions are drawn from a CoCa model. Names and defaults are those of open_clip's `CoCa.generate` @7260a46, except
 * that the type must be chosen knowingly: the papers' captions are `top_p` with topP 0.9 and a fixed output length.
 */
import { requireOneOf } from "../../core/arguments.ts"
import { UserError } from "../../core/errors.ts"

export const generationTypes = ["top_p", "top_k", "greedy", "beam_search"] as const

export type GenerationType = (typeof generationTypes)[number]

export interface GenerateOptions {
  /** Default: "beam_search". */
  readonly generationType: GenerationType
  /** Tokens of a caption, start and end included. A caption that has not ended by then is ended. */
  readonly seqLen: number
  /** No end of text while a caption is shorter, start included. */
  readonly minSeqLen: number
  /** Share of the probability that is drawn from, the most likely tokens first (default: 0.1; `mobileclip caption`: 0.9). */
  readonly topP: number
  /** Tokens that are drawn from. */
  readonly topK: number
  /** Divides the logits, after the choice of tokens to draw from. */
  readonly temperature: number
  readonly numBeams: number
  /** Without a penalty for being alike, which the reference has not, all groups do the same: one is computed. */
  readonly numBeamGroups: number
  /** Divides positive logits of tokens that a caption has, multiplies negative ones. */
  readonly repetitionPenalty: number
  /** Rows of `seqLen` ids, padded; else as long as the longest caption. */
  readonly fixedOutputLength: boolean
}

export const defaultOptions: GenerateOptions = {
  generationType: "beam_search",
  seqLen: 30,
  minSeqLen: 5,
  topP: 0.1,
  topK: 1,
  temperature: 1,
  numBeams: 6,
  numBeamGroups: 3,
  repetitionPenalty: 1,
  fixedOutputLength: false,
}

/** The options with defaults. Throws UserError naming the one that is out of range. */
export function generateOptions(given: Partial<GenerateOptions>, contextLength: number): GenerateOptions {
  const options = { ...defaultOptions, ...given }
  requireOneOf("generationType", options.generationType, generationTypes)
  const { seqLen, minSeqLen, topP, topK, temperature, numBeams, numBeamGroups, repetitionPenalty } = options
  const whole = (value: number, from: number) => Number.isInteger(value) && value >= from
  // Every token but the last is fed back, and the text tower has so many positions.
  check("seqLen", seqLen, whole(seqLen, 2) && seqLen <= contextLength + 1, `2 to ${contextLength + 1}`)
  check("minSeqLen", minSeqLen, whole(minSeqLen, 0) && minSeqLen < seqLen, `0 to ${seqLen - 1}, below seqLen`)
  check("topP", topP, topP >= 0 && topP <= 1, "0 to 1")
  check("topK", topK, whole(topK, 1), "1 or more")
  check("temperature", temperature, temperature > 0 && Number.isFinite(temperature), "above 0")
  check("numBeams", numBeams, whole(numBeams, 1), "1 or more")
  const divides = whole(numBeamGroups, 1) && numBeams % numBeamGroups === 0
  check("numBeamGroups", numBeamGroups, divides, `a divisor of numBeams, ${numBeams}`)
  const penalizes = repetitionPenalty > 0 && Number.isFinite(repetitionPenalty)
  check("repetitionPenalty", repetitionPenalty, penalizes, "above 0")
  return options
}

function check(name: string, value: number, valid: boolean, range: string): void {
  if (!valid) throw new UserError(`${name} is ${value}; expected is ${range}`)
}
