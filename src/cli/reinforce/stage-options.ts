/** Options of the two stages, with the names of the original generator where it has them. */

import { existsSync } from "node:fs"
import { type Command, Option } from "commander"
import { UserError } from "../../core/errors.ts"
import { modelDtypes, type WantedDtype } from "../../core/precision.ts"
import { decodeText } from "../../core/text/decode-text.ts"
import { openRandomAccess } from "../../host/files/files.ts"
import { type EmbeddingJob, jobLimits } from "../../reinforce/job/job.ts"
import {
  augmentationOf,
  captionDefaults,
  type EmbeddingRequest,
  embeddingDefaults,
} from "../../reinforce/job/stage-jobs.ts"
import { generationTypes } from "../../run/caption/options.ts"
import { number, wholeNumber } from "../options.ts"

export function addCaptionOptions(command: Command): Command {
  return addModelOptions(command, "captioners, comma-separated: directories, checkpoints, or names on the hub")
    .addOption(dtypeOption().choices(modelDtypes))
    .option(
      "--num-samples <n>",
      "captions of each image by each captioner",
      wholeNumber(1, jobLimits.perImage),
      captionDefaults.numSamples,
    )
    .option(
      "--tag-suffix <suffixes>",
      "after the key syn_text, one for each captioner, comma-separated",
      captionDefaults.tagSuffix,
    )
    .addOption(
      new Option("--generation-type <type>", "how captions are drawn")
        .choices(generationTypes)
        .default(captionDefaults.generationType),
    )
    .option(
      "--top-p <share>",
      "draw from the most likely tokens that have this probability",
      number(0, 1),
      captionDefaults.topP,
    )
    .option("--top-k <n>", "draw from so many tokens", wholeNumber(1, jobLimits.topK), captionDefaults.topK)
    .option("--temperature <t>", "of drawing", number(1e-6), captionDefaults.temperature)
    .option(
      "--seq-len <n>",
      "tokens of a caption, start and end included",
      wholeNumber(2, jobLimits.seqLen),
      captionDefaults.seqLen,
    )
    .option(
      "--min-seq-len <n>",
      "no end before so many tokens",
      wholeNumber(0, jobLimits.seqLen),
      captionDefaults.minSeqLen,
    )
    .option("--repetition-penalty <x>", "on tokens that a caption has", number(1e-6), captionDefaults.repetitionPenalty)
    .option("--num-beams <n>", "of beam search", wholeNumber(1, jobLimits.numBeams), captionDefaults.numBeams)
    .option(
      "--num-beam-groups <n>",
      "of beam search",
      wholeNumber(1, jobLimits.numBeams),
      captionDefaults.numBeamGroups,
    )
    .option("--whole", "keep what follows the first full stop")
}

/** The request, with the augmentation as JSON or as a file of it. */
export interface EmbeddingOptions extends Omit<EmbeddingRequest, "augmentation" | "dtype"> {
  readonly augConfig?: string
  readonly dtype?: WantedDtype
}

export function addEmbeddingOptions(command: Command): Command {
  return addModelOptions(
    command,
    "teachers, comma-separated, in the order of their vectors: directories, checkpoints, or names on the hub",
  )
    .addOption(
      dtypeOption(", or auto: the faster of fp32 and bf16, by a short measurement").choices([...modelDtypes, "auto"]),
    )
    .option(
      "--num-samples <n>",
      "augmented views of each image",
      wholeNumber(1, jobLimits.views),
      embeddingDefaults.numSamples,
    )
    .option("--aug-config <json>", "augmentation as JSON, or a file of it (default: the papers')")
    .option(
      "--syn-text-key-regex <regex>",
      "synthetic captions to embed, by the beginning of their key",
      embeddingDefaults.synTextKeyRegex,
    )
    .option("--tag-suffix <suffix>", "after the keys that are written", embeddingDefaults.tagSuffix)
}

function addModelOptions(command: Command, what: string): Command {
  return command
    .requiredOption("--model-name <names>", what)
    .option("--pretrained <tags>", "of those that are open_clip's architectures; N/A where there is none")
}

function dtypeOption(more = ""): Option {
  return new Option("--dtype <type>", `of the models' weights (default: as they are)${more}`)
}

/** The request that the options make. Throws UserError where the augmentation cannot be read. */
export function embeddingRequest({ augConfig, dtype, ...given }: EmbeddingOptions): EmbeddingRequest {
  const request = { ...given, ...(dtype && dtype !== "auto" && { dtype }) }
  return augConfig === undefined ? request : { ...request, augmentation: readAugmentation(augConfig) }
}

function readAugmentation(given: string): Pick<EmbeddingJob, "augmentation" | "normalize"> {
  const isJson = given.trimStart().startsWith("{")
  if (!isJson && !existsSync(given)) throw new UserError(`--aug-config ${given} is neither JSON nor a file`)
  const text = isJson ? given : readText(given)
  return augmentationOf(text, isJson ? "--aug-config" : given)
}

function readText(path: string): string {
  const file = openRandomAccess(path)
  try {
    return decodeText(file.read(0, file.size), path)
  } finally {
    file.close()
  }
}
