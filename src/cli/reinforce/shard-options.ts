/** Options that both stages share: which shards, where to, in which format, and how the work is shared out. */
import { type Command, Option } from "commander"
import { UserError } from "../../core/errors.ts"
import type { WantedDtype } from "../../core/precision.ts"
import { expandShards } from "../../data/expand.ts"
import type { SampleFormat } from "../../data/reinforced/encode.ts"
import type { Truncated } from "../../host/image/picture-format.ts"
import { defaultFormat, defaultMinImageSize, type Job } from "../../reinforce/job/job.ts"
import { planShards, type ShardNameFormat, shardNameFormats } from "../../reinforce/job/plan.ts"
import { type ResourceRequest, resourceDefaults } from "../../reinforce/local/resources.ts"
import type { ShardTask } from "../../reinforce/runner.ts"
import { maxFailuresOption, progressOption, threadsOption, truncatedOption, wholeNumber } from "../options.ts"
import type { ProgressMode } from "../progress.ts"
import { sampleFormat } from "./tools/format-option.ts"

export interface ShardOptions {
  readonly input: readonly string[]
  readonly output: string
  readonly outputFormat: "webdataset" | "wds" | "jsonl"
  readonly outputShardNameFormat: ShardNameFormat
  readonly bfloat16?: true
  readonly compact?: true
  readonly textEmbeddings: SampleFormat["textEmbeddings"]
  readonly images: boolean
  readonly minImageSize: number
  readonly truncated: Truncated
  readonly dtype?: WantedDtype
  readonly seed: number
  readonly maxFailures: number
  readonly progress: ProgressMode
  readonly json?: true
  readonly dryRun?: true
}

export function addShardOptions(command: Command): Command {
  return command
    .requiredOption(
      "--input <shards...>",
      "shards: files, folders, brace patterns, lists joined by ::, or info.json; also http(s)://, s3://, hf://",
    )
    .requiredOption("--output <folder>", "where reinforced shards go; also s3://. What is there already is kept")
    .addOption(
      new Option("--output-format <format>", "of the shards")
        .choices(["webdataset", "wds", "jsonl"])
        .default(defaultFormat.output),
    )
    .addOption(
      new Option("--output-shard-name-format <format>", "names as those of the input, or numbers")
        .choices(shardNameFormats)
        .default("orig"),
    )
    .option("--bfloat16", "embeddings as bfloat16 (pth.gz) in place of float32 (npz)")
    .option("--compact", "embeddings in the compact layout (docs/formats.md), about half of bfloat16's size")
    .addOption(
      new Option(
        "--text-embeddings <layout>",
        "of real and synthetic captions: one array, as in DataCompDR, or one each",
      )
        .choices(["separate", "joined"])
        .default(defaultFormat.textEmbeddings),
    )
    .option("--no-images", "leave pictures and captions out, as the released datasets do")
    .option(
      "--min-image-size <n>",
      "leave out pictures with a shorter side, in pixels",
      wholeNumber(1),
      defaultMinImageSize,
    )
    .addOption(truncatedOption())
    .option("--seed <n>", "of captions and augmentations", wholeNumber(0), 0)
    .addOption(maxFailuresOption("stop when more samples and shards than this had to be left out"))
    .option("--dry-run", "say what would be done")
    .option("--json", "print the summary as JSON")
    .addOption(progressOption())
}

/** With the names of the original generator. */
export interface ResourceOptions extends ResourceRequest {
  readonly minActors?: number
  readonly maxActors?: number
  readonly rayDataWaitForMinActorS?: string
  readonly checkpointUploadFreq?: string
  readonly verbose?: true
}

/** @param workers how many there are unless told otherwise */
export function addResourceOptions(command: Command, workers = "one for 4 processors"): Command {
  const what = `processes, each with its own copy of the models (default: ${workers})`
  return addModelResources(command.addOption(workersOption(what)), "say what models run on")
}

/** @param verbose what it says; none: it is taken and not used, and so is not shown */
export function addModelResources(command: Command, verbose?: string): Command {
  return command
    .option(
      "--batch-size <n>",
      "views, texts or images that a model takes at a time",
      wholeNumber(1),
      resourceDefaults.batchSize,
    )
    .addOption(threadsOption("of a worker's models (default: all, shared out)"))
    .option(
      "--augment-threads <n>",
      "threads of a worker that decode and augment (default: what models leave)",
      wholeNumber(0),
    )
    .addOption(
      new Option("--runtime <name>", "what runs the models (default: by what they are)").choices([
        "onnxruntime",
        "libtorch",
      ]),
    )
    .addOption(
      new Option("--device <name>", "where models compute").choices(["cpu", "cuda"]).default(resourceDefaults.device),
    )
    .addOption(new Option("--max-actors <n>", "same as --workers").argParser(wholeNumber(1)).hideHelp())
    .addOption(new Option("--min-actors <n>", "taken and not used").argParser(wholeNumber(1)).hideHelp())
    .addOption(new Option("--ray-data-wait-for-min-actor-s <n>", "taken and not used").hideHelp())
    .addOption(new Option("--checkpoint-upload-freq <n>", "taken and not used").hideHelp())
    .addOption(new Option("--local", "taken and not used").hideHelp())
    .addOption(new Option("--verbose", verbose).hideHelp(verbose === undefined))
}

/** How many look at shards, of tools that do. */
export function readersOption(): Option {
  return workersOption("processes that read shards (default: one for each processor)")
}

function workersOption(what: string): Option {
  return new Option("--workers <n>", what).argParser(wholeNumber(1))
}

function formatOf(options: ShardOptions): SampleFormat {
  const { bfloat16, compact, outputFormat, textEmbeddings, images } = options
  if (bfloat16 && compact) throw new UserError("--bfloat16 and --compact are two layouts", "choose one")
  const output = outputFormat === "jsonl" ? "jsonl" : "webdataset"
  if (output === "jsonl" && (bfloat16 || compact)) {
    throw new UserError(
      `JSONL holds float32 embeddings, and ${bfloat16 ? "--bfloat16" : "--compact"} was given`,
      "use --output-format webdataset",
    )
  }
  return sampleFormat(output, compact ? "compact" : bfloat16 ? "bfloat16" : "float32", textEmbeddings, images)
}

export async function planOf(options: ShardOptions): Promise<ShardTask[]> {
  const inputs = await expandShards(options.input)
  return planShards(inputs, options.output, formatOf(options), options.outputShardNameFormat)
}

export function jobOf(stage: Job["stage"], options: ShardOptions): Job {
  const { seed, minImageSize, truncated } = options
  return { stage, format: formatOf(options), seed, minImageSize, ...(truncated === "refuse" && { truncated }) }
}

/** Options of the original that mean nothing here, in a line each. */
export function unusedOptions(options: ResourceOptions): string[] {
  const { minActors, rayDataWaitForMinActorS, checkpointUploadFreq } = options
  return [
    ...(minActors === undefined ? [] : ["--min-actors is not used: all workers start at once"]),
    ...(rayDataWaitForMinActorS === undefined ? [] : ["--ray-data-wait-for-min-actor-s is not used: there is no Ray"]),
    ...(checkpointUploadFreq === undefined ? [] : ["--checkpoint-upload-freq is not used: every shard is recorded"]),
  ]
}

export function resourcesOf(options: ResourceOptions): ResourceRequest {
  const { batchSize, threads, augmentThreads, runtime, device, maxActors } = options
  const given = { workers: options.workers ?? maxActors, batchSize, threads, augmentThreads, runtime, device }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}
