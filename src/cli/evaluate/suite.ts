/** mobileclip evaluate */
import { type Command, Option } from "commander"
import { parseClassNames, parseTemplates } from "../../benchmark/layout/class-texts.ts"
import { evaluateDefaults } from "../../benchmark/run/evaluate.ts"
import { type EvaluateSuiteOptions, evaluateSuite } from "../../benchmark/run/evaluate-suite.ts"
import { type ResultFormat, resultFormats, writeFormatted } from "../../benchmark/run/result-formats.ts"
import { suiteNames } from "../../benchmark/run/suites.ts"
import { modelDtypes } from "../../core/precision.ts"
import { readBytes } from "../../host/files/files.ts"
import { cacheDefaults, defaultCacheFolder } from "../../vector-cache/vector-cache.ts"
import { type CommandContext, sameCommand } from "../context.ts"
import { failureLine, PartialSuccess } from "../errors.ts"
import { progressOption, repeated, threadsOption, wholeNumber } from "../options.ts"
import { type ProgressMode, progressReporter } from "../progress.ts"
import { shownPull } from "../pulling.ts"
import { absentText, formattedLines, reportJson, suiteSummary } from "./suite-summary.ts"

type Shared = Pick<
  EvaluateSuiteOptions,
  "data" | "suite" | "out" | "batchSize" | "decodeThreads" | "threads" | "runtime" | "device" | "dtype"
>

interface Options extends Shared {
  readonly model?: readonly string[]
  readonly task?: readonly string[]
  readonly format: ResultFormat
  readonly templates?: string
  readonly classNames?: string
  readonly limitPerTask?: number
  readonly cache: string | false
  readonly probe?: "linear"
  readonly shots?: readonly number[]
  readonly seeds: number
  readonly progress: ProgressMode
  readonly json?: true
}

const examples = `
Examples:
  mobileclip evaluate --model models/s0 --suite self                        no data needed: rendered tasks
  mobileclip evaluate --model models/s0 --data /data/wds --out runs/s0      the 40 tasks, from a folder
  mobileclip evaluate --model MobileCLIP2-S0 --model MobileCLIP2-S2 --data hf://datasets/djghosh --out runs/two
  mobileclip evaluate --model models/s0 --data /data/wds --suite quick      some thousand pictures, and what the 38 would give
  mobileclip evaluate --model models/s0 --data data --task my/birds --templates prompts.txt
  mobileclip evaluate --model models/s0 --data data --task my/birds --probe linear --shots 1,4,16

Data are in the layout of CLIP_benchmark's WebDataset shards; \`mobileclip evaluate pack\` writes it. Pictures are decoded once
for all models. Their vectors are kept, so that other templates or class names take only the encoding of their texts, each
about as long as a picture. Ctrl-C stops after the current batch, and the same command goes on. Exit code 3: done, but for tasks that failed, each with its reason.
`

export function register(evaluate: Command, context: CommandContext): void {
  evaluate
    .option("--model <model>", "a folder, a checkpoint or a released model's name; may be given again", repeated)
    .option("--data <root>", "folder or URL (http://, https://, s3://, hf://) that has a folder for each task")
    .addOption(
      new Option("--suite <name>", "which tasks (default: the 40 of the published tables)").choices(suiteNames),
    )
    .option("--task <key>", "a task alone, also of one's own: vtab/pets, my/birds; may be given again", repeated)
    .option("--out <dir>", "where results are written; with several models in a folder for each")
    .addOption(new Option("--format <name>", "shape of the results").choices(resultFormats).default("jsonl"))
    .option(
      "--templates <file>",
      "prompts in place of those beside the data, one on each line: {} or {c} is the class name",
    )
    .option("--class-names <file>", "names in place of those beside the data: a line for each class, in their order")
    .option(
      "--limit-per-task <n>",
      "samples of each task, spread over the data where their number is known",
      wholeNumber(1),
    )
    .addOption(new Option("--probe <kind>", "a classifier on frozen vectors in place of prompts").choices(["linear"]))
    .option("--shots <list>", "classifiers of so many pictures of each class: 1,2,4,8,16", shotsIn)
    .option("--seeds <n>", "how often the pictures of --shots are drawn", wholeNumber(1, 100), 3)
    .option(
      "--batch-size <n>",
      "pictures that a model takes at a time",
      wholeNumber(1, 4096),
      evaluateDefaults.batchSize,
    )
    .addOption(threadsOption("of the models (default: all)"))
    .option(
      "--decode-threads <n>",
      "threads that decode pictures (default: a quarter of the processors; beside a GPU all but one)",
      wholeNumber(0, 256),
    )
    .addOption(new Option("--device <device>", "where models compute").choices(["cpu", "cuda"]))
    .addOption(new Option("--runtime <name>", "what runs them").choices(["onnxruntime", "libtorch"]))
    .addOption(new Option("--dtype <type>", "of the models' weights").choices(modelDtypes))
    .option(
      "--cache <dir>",
      `where vectors are kept, ${cacheDefaults.mostBytes / 2 ** 30} GiB at most`,
      defaultCacheFolder(),
    )
    .option("--no-cache", "keep no vectors, and use none")
    .option(
      "--json",
      "print { data, suite, models: [{ name, folder, results, averages, prediction }], failures, absent }",
    )
    .addOption(progressOption())
    .addHelpText("after", examples)
    .action((options: Options, command: Command) => run(options, command, context))
}

async function run(options: Options, command: Command, context: CommandContext): Promise<void> {
  const { writeOut, writeErr } = command.configureOutput()
  const { model = [], task, format, limitPerTask, cache, progress, json, probe, shots, seeds, ...shared } = options
  const { templates, classNames, ...rest } = shared
  if (model.length === 0) command.error("error: required option '--model <model>' not specified")
  if (task && shared.suite) command.error("error: give either --task or --suite")
  const report = await evaluateSuite({
    ...{ ...rest, models: model, tasks: task, cache: cache || null },
    ...(limitPerTask !== undefined && { picturesPerTask: limitPerTask }),
    ...(templates !== undefined && { templates: parseTemplates(await readBytes(templates), templates) }),
    ...(classNames !== undefined && { classNames: parseClassNames(await readBytes(classNames), classNames) }),
    ...((probe || shots) && { probe: { linear: probe === "linear", shots: shots ?? [], seeds } }),
    pull: shownPull(writeErr),
    startProgress: progressReporter(progress),
    say: (line) => writeErr?.(`${line}\n`),
    onStage: (line) => writeErr?.(`${line}\n`),
    signal: context.abortOnInterrupt("stopping after the current batch", sameCommand(context.argv)),
  })
  const folders = format === "jsonl" ? [] : await writeFormatted(format, report.models)
  if (json) writeOut?.(`${JSON.stringify(reportJson(report), null, 2)}\n`)
  else if (shared.out === undefined && format !== "jsonl") writeOut?.(formattedLines(report, format))
  else writeOut?.(`${suiteSummary(report, { out: shared.out, folders })}\n`)
  if (report.absent.length > 0) writeErr?.(`${absentText(report)}\n`)
  for (const { key, reason } of report.failures) writeErr?.(failureLine(new Error(`${key}: ${reason}`)))
  if (report.failures.length > 0)
    throw new PartialSuccess(`${report.failures.length} of ${report.tasks.length} tasks failed`)
}

const shots = wholeNumber(1, 10_000)

function shotsIn(text: string): number[] {
  return [...new Set(text.split(",").map((part) => shots(part.trim())))].sort((a, b) => a - b)
}
