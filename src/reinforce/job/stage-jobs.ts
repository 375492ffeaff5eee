/** The two stages of data generation as jobs: what is not said is as the papers have it. */
import { UserError } from "../../core/errors.ts"
import type { ModelDtype } from "../../core/precision.ts"
import { datacompdrAugmentation, parseAugmentationConfig } from "../../data/augment/config.ts"
import type { GenerationType } from "../../run/caption/options.ts"
import type { CaptionJob, EmbeddingJob } from "./job.ts"

interface ModelRequest {
  /** Directories, checkpoints or names on the hub, comma-separated. */
  readonly modelName: string
  /** open_clip's tags, comma-separated, of those that are its architectures. */
  readonly pretrained?: string
  /** Type of the models' weights; default: as they are. */
  readonly dtype?: ModelDtype
  /** Captions of each image by each captioner, or views of each image. */
  readonly numSamples?: number
  /** After the keys that are written; of captioners one each, comma-separated. */
  readonly tagSuffix?: string
}

export interface CaptionRequest extends ModelRequest {
  readonly generationType?: GenerationType
  /** Tokens that together have this probability are drawn from. */
  readonly topP?: number
  /** Tokens that are drawn from. */
  readonly topK?: number
  readonly temperature?: number
  /** Tokens of a caption, start and end included. */
  readonly seqLen?: number
  /** No end before so many tokens. */
  readonly minSeqLen?: number
  readonly repetitionPenalty?: number
  readonly numBeams?: number
  readonly numBeamGroups?: number
  /** Keeps what follows the first full stop. */
  readonly whole?: boolean
}

export const captionDefaults = {
  ...{ numSamples: 5, tagSuffix: "", generationType: "top_p", topP: 0.9, topK: 1, temperature: 1 },
  ...{ seqLen: 30, minSeqLen: 5, repetitionPenalty: 1, numBeams: 6, numBeamGroups: 3, whole: false },
} as const satisfies Partial<CaptionRequest>

export interface EmbeddingRequest extends ModelRequest {
  /** Default: the papers', where each teacher's pixels are normalised as it was trained. */
  readonly augmentation?: Pick<EmbeddingJob, "augmentation" | "normalize">
  /** Source of a regular expression for the beginning of the keys whose captions are embedded. */
  readonly synTextKeyRegex?: string
}

export const embeddingDefaults = {
  ...{ numSamples: 5, tagSuffix: "", synTextKeyRegex: "syn_text" },
} as const satisfies Partial<EmbeddingRequest>

/** @throws UserError where there is not one suffix for each captioner, or two are alike */
export function captionJob(request: CaptionRequest): CaptionJob {
  const { numSamples, tagSuffix, whole, modelName, pretrained, dtype, ...generate } = { ...captionDefaults, ...request }
  const models = modelName.split(",").length
  const suffixes = tagSuffix.split(",")
  if (suffixes.length !== models || new Set(suffixes).size !== suffixes.length) {
    throw new UserError(
      `${models} captioners and the suffixes ${JSON.stringify(tagSuffix)}`,
      "give --tag-suffix a different one for each, comma-separated: _a,_b",
    )
  }
  return {
    kind: "caption",
    ...modelsOf({ modelName, pretrained, dtype }),
    suffixes,
    perImage: numSamples,
    generate: generationOf(generate),
    whole,
  }
}

/** In one order: a job is compared as JSON with that of an earlier run. As in the papers, captions have a fixed length. */
export function generationOf(request: Required<Omit<CaptionRequest, keyof ModelRequest | "whole">>) {
  const { generationType, topP, topK, temperature, seqLen, minSeqLen } = request
  const { repetitionPenalty, numBeams, numBeamGroups } = request
  return {
    ...{ generationType, topP, topK, temperature, seqLen, minSeqLen, repetitionPenalty, numBeams, numBeamGroups },
    fixedOutputLength: true,
  }
}

/** @throws UserError where `synTextKeyRegex` is not a regular expression */
export function embeddingJob(request: EmbeddingRequest): EmbeddingJob {
  const {
    numSamples,
    augmentation = papersAugmentation(),
    synTextKeyRegex,
    tagSuffix,
  } = {
    ...embeddingDefaults,
    ...request,
  }
  synTextKey(synTextKeyRegex)
  return {
    kind: "embedding",
    ...modelsOf(request),
    views: numSamples,
    ...augmentation,
    synTextKeyRegex,
    suffix: tagSuffix,
  }
}

function papersAugmentation(): Pick<EmbeddingJob, "augmentation" | "normalize"> {
  const { randomResizedCrop, randAugment } = datacompdrAugmentation
  return { augmentation: { randomResizedCrop, randAugment }, normalize: null }
}

/**
 * An augmentation in the generator's JSON. Where it has no `normalize`, each teacher's pixels are normalised as it was
 * trained.
 *
 * @param source for messages: a file's name
 */
export function augmentationOf(json: string, source: string): Pick<EmbeddingJob, "augmentation" | "normalize"> {
  const { randomResizedCrop, randAugment, normalize } = parseAugmentationConfig(json, source)
  const isGiven = Object.hasOwn(JSON.parse(json), "normalize")
  return { augmentation: { randomResizedCrop, randAugment }, normalize: isGiven ? normalize : null }
}

/** Matches at the beginning of a key, as Python's re.match does. Throws UserError where it is not an expression. */
export function synTextKey(source: string): RegExp {
  try {
    return new RegExp(`^(?:${source})`)
  } catch {
    throw new UserError(`--syn-text-key-regex ${JSON.stringify(source)} is not a regular expression`)
  }
}

function modelsOf({ modelName, pretrained, dtype }: { [K in keyof ModelRequest]: ModelRequest[K] | undefined }) {
  return { modelName: modelName!, pretrained: pretrained ?? null, dtype: dtype ?? null }
}
