/** Options of the two stages, with the names of the original generator where it has them, and what they make of a job. */
import { existsSync } from "node:fs"
import { type Command, Option } from "commander"
import { UserError } from "../../core/errors.ts"
import { datacompdrAugmentation, parseAugmentationConfig } from "../../data/augment/config.ts"
import { openRandomAccess } from "../../host/files.ts"
import type { CaptionJob, EmbeddingJob } from "../../reinforce/job.ts"
import { type GenerationType, generationTypes } from "../../run/caption/options.ts"
import { number, wholeNumber } from "../options.ts"

interface ModelOptions {
  readonly modelName: string
  readonly pretrained?: string
  readonly dtype?: "fp32" | "fp16" | "bf16"
  readonly numSamples: number
  readonly tagSuffix: string
}

export interface CaptionOptions extends ModelOptions {
  readonly generationType: GenerationType
  readonly topP: number
  readonly topK: number
  readonly temperature: number
  readonly seqLen: number
  readonly minSeqLen: number
  readonly repetitionPenalty: number
  readonly numBeams: number
  readonly numBeamGroups: number
  readonly whole?: true
}

export function addCaptionOptions(command: Command): Command {
  return addModelOptions(command, "captioners, comma-separated: directories, checkpoints, or names on the hub")
    .option("--num-samples <n>", "captions of each image by each captioner", wholeNumber(1), 5)
    .option("--tag-suffix <suffixes>", "behind the key syn_text, one for each captioner, comma-separated", "")
    .addOption(
      new Option("--generation-type <type>", "how captions are drawn").choices(generationTypes).default("top_p"),
    )
    .option("--top-p <share>", "draw from the most likely tokens that have this probability", number(0, 1), 0.9)
    .option("--top-k <n>", "draw from so many tokens", wholeNumber(1), 1)
    .option("--temperature <t>", "of drawing", number(1e-6), 1)
    .option("--seq-len <n>", "tokens of a caption, start and end included", wholeNumber(2), 30)
    .option("--min-seq-len <n>", "no end before so many tokens", wholeNumber(0), 5)
    .option("--repetition-penalty <x>", "on tokens that a caption has", number(1e-6), 1)
    .option("--num-beams <n>", "of beam search", wholeNumber(1), 6)
    .option("--num-beam-groups <n>", "of beam search", wholeNumber(1), 3)
    .option("--whole", "keep what follows the first full stop")
}

export interface EmbeddingOptions extends ModelOptions {
  readonly augConfig?: string
  readonly synTextKeyRegex: string
}

export function addEmbeddingOptions(command: Command): Command {
  return addModelOptions(
    command,
    "teachers, comma-separated, in the order of their vectors: directories, checkpoints, or names on the hub",
  )
    .option("--num-samples <n>", "augmented views of each image", wholeNumber(1), 5)
    .option("--aug-config <json>", "augmentation as JSON, or a file of it (default: the papers')")
    .option("--syn-text-key-regex <regex>", "synthetic captions to embed, by the beginning of their key", "syn_text")
    .option("--tag-suffix <suffix>", "behind the keys that are written", "")
}

function addModelOptions(command: Command, what: string): Command {
  return command
    .requiredOption("--model-name <names>", what)
    .option("--pretrained <tags>", "of those that are open_clip's architectures; N/A where there is none")
    .addOption(
      new Option("--dtype <type>", "of the models' weights (default: as they are)").choices(["fp32", "fp16", "bf16"]),
    )
}

export function captionJob(options: CaptionOptions): CaptionJob {
  const { numSamples, generationType, topP, topK, temperature, seqLen, minSeqLen } = options
  const { repetitionPenalty, numBeams, numBeamGroups, whole = false } = options
  const models = options.modelName.split(",").length
  const suffixes = options.tagSuffix.split(",")
  if (suffixes.length !== models || new Set(suffixes).size !== suffixes.length) {
    throw new UserError(
      `${models} captioners and the suffixes ${JSON.stringify(options.tagSuffix)}`,
      "give --tag-suffix a different one for each, comma-separated: _a,_b",
    )
  }
  return {
    kind: "caption",
    ...modelsOf(options),
    suffixes,
    perImage: numSamples,
    generate: {
      ...{ generationType, topP, topK, temperature, seqLen, minSeqLen, repetitionPenalty, numBeams, numBeamGroups },
      fixedOutputLength: true,
    },
    whole,
  }
}

export function embeddingJob(options: EmbeddingOptions): EmbeddingJob {
  const { numSamples, augConfig, synTextKeyRegex, tagSuffix } = options
  synTextKey(synTextKeyRegex)
  return {
    kind: "embedding",
    ...modelsOf(options),
    views: numSamples,
    ...(augConfig === undefined ? papersAugmentation() : readAugmentation(augConfig)),
    synTextKeyRegex,
    suffix: tagSuffix,
  }
}

/** Matches at the beginning of a key, as Python's re.match does. Throws UserError where it is no expression. */
export function synTextKey(source: string): RegExp {
  try {
    return new RegExp(`^(?:${source})`)
  } catch {
    throw new UserError(`--syn-text-key-regex ${JSON.stringify(source)} is no regular expression`)
  }
}

type Augmentation = Pick<EmbeddingJob, "augmentation" | "normalize">

function papersAugmentation(): Augmentation {
  const { randomResizedCrop, randAugment } = datacompdrAugmentation
  return { augmentation: { randomResizedCrop, randAugment }, normalize: null }
}

function readAugmentation(given: string): Augmentation {
  const isJson = given.trimStart().startsWith("{")
  if (!isJson && !existsSync(given)) throw new UserError(`--aug-config ${given} is neither JSON nor a file`)
  const text = isJson ? given : readText(given)
  const { randomResizedCrop, randAugment, normalize } = parseAugmentationConfig(text, isJson ? "--aug-config" : given)
  const isGiven = Object.hasOwn(JSON.parse(text), "normalize")
  return { augmentation: { randomResizedCrop, randAugment }, normalize: isGiven ? normalize : null }
}

function readText(path: string): string {
  const file = openRandomAccess(path)
  try {
    return new TextDecoder().decode(file.read(0, file.size))
  } finally {
    file.close()
  }
}

function modelsOf({ modelName, pretrained, dtype }: ModelOptions) {
  return { modelName, pretrained: pretrained ?? null, dtype: dtype ?? null }
}
