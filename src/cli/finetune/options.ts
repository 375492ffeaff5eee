/** The options of `mobileclip finetune`, and what they mean for the library. */

import { type Command, InvalidArgumentError, Option } from "commander"
import { precisionOf } from "../../core/precision.ts"
import { type FinetuneOptions, finetuneDefaults } from "../../finetune/finetune.ts"
import type { Truncated } from "../../host/image/picture-format.ts"
import { usableProcessors } from "../../host/processors.ts"
import { number, progressOption, repeated, truncatedOption, verboseOption, wholeNumber } from "../options.ts"
import type { ProgressMode } from "../progress.ts"

export interface FinetuneArguments {
  readonly model: string
  readonly variant?: string
  readonly out: string
  readonly epochs?: number
  readonly steps?: number
  readonly batchSize?: number
  readonly chunkSize?: number
  readonly lr?: number
  readonly layerDecay?: number
  readonly lock?: "image" | "text"
  readonly average: number | "auto"
  readonly holdOut: number
  readonly patience?: number
  readonly template?: readonly string[]
  readonly imageColumn?: string
  readonly captionColumn?: string
  readonly precision: "fp32" | "amp_bf16"
  readonly device: NonNullable<FinetuneOptions["device"]>
  readonly threads: number
  readonly seed: number
  readonly truncated: Truncated
  readonly resume?: true
  readonly progress: ProgressMode
  readonly verbose?: true
  readonly json?: true
}

export function addOptions(command: Command): Command {
  return command
    .requiredOption(
      "--model <model>",
      "what to start from: a checkpoint, a run's folder, or the name of a released model",
    )
    .option("--variant <name>", "which member of the family it is, where its contents leave a choice")
    .requiredOption("--out <dir>", "where the model, its export, checkpoints and the report are written")
    .addOption(
      new Option("--epochs <n>", "passes over the pictures (default: 10; more where there are few pictures)")
        .argParser(wholeNumber(1))
        .conflicts("steps"),
    )
    .option("--steps <n>", "most batches to train on", wholeNumber(2))
    .option("--batch-size <n>", "pictures in a batch (default: up to 64, by the number of pictures)", wholeNumber(2))
    .option("--chunk-size <n>", "pairs encoded at once (default: by the memory)", wholeNumber(1))
    .option(
      "--lr <rate>",
      "largest learning rate (default: 3e-5 for a batch of 64, up to ten times that for small models)",
      number(0),
    )
    .option("--layer-decay <x>", "factor on the rate from each layer to the one below (default: 0.9)", number(0.01, 1))
    .addOption(new Option("--lock <tower>", "a tower that stays as it is").choices(["image", "text"]))
    .option(
      "--average <share>",
      "share of the tuned weights in the result, the rest is the start's; auto: the probe chooses",
      averageOf,
      "auto",
    )
    .option(
      "--hold-out <share>",
      "share of the pictures that is kept for the probe",
      number(0.01, 0.9),
      finetuneDefaults.holdOut,
    )
    .option(
      "--patience <n>",
      "the run ends after this many of its 20 evaluations without a better one; 0: it does not (default: 5; 0 up to 200 steps)",
      wholeNumber(0),
    )
    .option(
      "--template <text>",
      'prompt for class names, {} is the name; may be given again (default: "a photo of a {}.")',
      repeated,
    )
    .option("--image-column <name>", "column of the pictures in a CSV or JSONL file")
    .option("--caption-column <name>", "column of the captions in a CSV or JSONL file")
    .addOption(
      new Option("--precision <type>", "type of matrix products").choices(["fp32", "amp_bf16"]).default("fp32"),
    )
    .addOption(
      new Option("--device <device>", "where to compute")
        .choices(["cpu", "cuda", "mps"])
        .default(finetuneDefaults.device),
    )
    .option("--threads <n>", "processor threads", wholeNumber(1), usableProcessors().count)
    .option(
      "--seed <n>",
      "seed of the batches and of the held-out pictures",
      wholeNumber(0, 2 ** 32 - 1),
      finetuneDefaults.seed,
    )
    .addOption(truncatedOption())
    .option("--resume", "go on with the run in --out, with the same options")
    .option("--json", "print report.json")
    .addOption(progressOption())
    .addOption(verboseOption())
}

/** The library's options from the command line's; what was not given is left out. */
export function finetuneOptionsOf(
  args: FinetuneArguments,
): Omit<FinetuneOptions, "source" | "say" | "signal" | "startProgress"> {
  const { lr, template, average, precision, resume, json: _, progress: __, verbose: ___, ...same } = args
  return {
    ...same,
    ...(lr !== undefined && { learningRate: lr }),
    ...(template && { templates: template }),
    precision: precisionOf(precision),
    average: average === "auto" ? null : average,
    resume: resume === true,
  }
}

function averageOf(text: string): number | "auto" {
  if (text === "auto") return text
  const share = text.trim() === "" ? Number.NaN : Number(text)
  if (share >= 0 && share <= 1) return share
  throw new InvalidArgumentError("expected auto or a number from 0 to 1")
}
