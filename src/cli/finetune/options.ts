/** The options of `mobileclip finetune`, and what they mean. */
import { availableParallelism } from "node:os"
import { type Command, InvalidArgumentError, Option } from "commander"
import { precisionOf } from "../../core/precision.ts"
import { type FinetuneOptions, finetuneDefaults } from "../../finetune/finetune.ts"
import type { Truncated } from "../../host/image/picture-format.ts"
import { number, progressOption, repeated, truncatedOption, wholeNumber } from "../options.ts"
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
  readonly patience: number
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
      new Option("--epochs <n>", "passes over the pictures (default: 10, of few pictures more)")
        .argParser(wholeNumber(1))
        .conflicts("steps"),
    )
    .option("--steps <n>", "batches to train on, at most", wholeNumber(2))
    .option("--batch-size <n>", "pictures in a batch (default: up to 64, by how many there are)", wholeNumber(2))
    .option("--chunk-size <n>", "pairs encoded at once (default: by memory)", wholeNumber(1))
    .option("--lr <rate>", "largest learning rate (default: 3e-5 for a batch of 64)", number(0))
    .option("--layer-decay <x>", "factor on the rate from each layer to the one below (default: 0.9)", number(0.01, 1))
    .addOption(new Option("--lock <tower>", "a tower that stays as it is").choices(["image", "text"]))
    .option(
      "--average <share>",
      "of the tuned weights, the rest is the start's; auto: the probe chooses",
      averageOf,
      "auto",
    )
    .option("--hold-out <share>", "of the pictures, kept for the probe", number(0.01, 0.9), finetuneDefaults.holdOut)
    .option(
      "--patience <n>",
      "evaluations without a better one that end the run, of 20; 0: none do",
      wholeNumber(0),
      finetuneDefaults.patience,
    )
    .option(
      "--template <text>",
      'prompt of a class name, {} is the name; may be given again (default: "a photo of a {}.")',
      repeated,
    )
    .option("--image-column <name>", "of a CSV or JSONL file")
    .option("--caption-column <name>", "of a CSV or JSONL file")
    .addOption(new Option("--precision <type>", "of matrix products").choices(["fp32", "amp_bf16"]).default("fp32"))
    .addOption(
      new Option("--device <device>", "where to compute")
        .choices(["cpu", "cuda", "mps"])
        .default(finetuneDefaults.device),
    )
    .option("--threads <n>", "processor threads", wholeNumber(1), availableParallelism())
    .option("--seed <n>", "of batches and of what is held out", wholeNumber(0, 2 ** 32 - 1), finetuneDefaults.seed)
    .addOption(truncatedOption())
    .option("--resume", "go on with the run in --out, with the same options")
    .option("--json", "print report.json")
    .addOption(progressOption())
}

/** What the command line gives to the library; what was not given is left out. */
export function finetuneOptionsOf(
  args: FinetuneArguments,
): Omit<FinetuneOptions, "source" | "say" | "signal" | "startProgress"> {
  const { lr, template, average, precision, resume, json: _, progress: __, ...same } = args
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
