/** mobileclip classify */

import { existsSync } from "node:fs"
import { type Command, Option } from "commander"
import { UserError } from "../../core/errors.ts"
import { ofLongWork } from "../../core/progress.ts"
import { labelsChoice, modelChoice, readingChoice } from "../../embed/choices.ts"
import { type ClassifiedFile, classifyFiles } from "../../embed/classify-files.ts"
import { type GivenLabels, type OpenClassifiers, openClassifiers } from "../../embed/open-classifiers.ts"
import type { LoadOptions } from "../../weights/load-model.ts"
import {
  addLabelOptions,
  type LabelOptions,
  labelCacheOption,
  type Result,
  readWords,
  resultChunks,
} from "../classifying.ts"
import type { CommandContext } from "../context.ts"
import { progressOption, repeated, threadsOption, verboseOption, wholeNumber } from "../options.ts"
import {
  addPictureOptions,
  decodeOption,
  decodingOf,
  type PictureOptions,
  picturesHelp,
  picturesNamed,
  readingOf,
} from "../picture-options.ts"
import { PictureTally, type Readable } from "../picture-tally.ts"
import { type ProgressMode, progressReporter } from "../progress.ts"
import { deliver, prepareOut } from "../row-output.ts"

interface Options extends LabelOptions, PictureOptions, Pick<LoadOptions, "threads"> {
  readonly model?: readonly string[]
  readonly baked?: readonly string[]
  readonly top: number
  readonly json?: true
  readonly csv?: true
  readonly out?: string
  readonly progress: ProgressMode
  readonly cache: boolean
  readonly verbose?: true
}

const more = `
Examples:
  mobileclip classify photos --model models/s0 --labels cat,dog,"something else"
  mobileclip classify cat.jpg --model MobileCLIP2-S0 --labels-file labels.txt --template "a photo of a {}, a type of pet." --json
  mobileclip classify 'photos/**/*.jpg' --model models/s0 --model models/s2 --labels cat,dog --csv --out labels.csv
  find photos -name '*.jpg' -print0 | mobileclip classify - --model models/s0 --labels-file labels.txt --top 1
  mobileclip bake-labels --model models/s0 --labels-file labels.txt --out labels.json
  mobileclip classify photos --model models/s0 --baked labels.json              no text tower is needed

The score is a probability among the labels that you give (a softmax over them): they add up to 100 %, so one label alone
always has 100 %, and a picture that shows none of them gets one of them all the same. The cosine, from -1 to 1, compares
the picture with one label, whatever the others are. Where perhaps no label fits, add one such as "something else", or
look at the cosines, which one model gives in the same scale for all pictures and labels.

Results are printed as they come, in the order of the pictures. Exit code 3: done, but for pictures that could not be read,
each with its reason.
`

const defaultModel = "runs/quickstart/model"

export function register(program: Command, context: CommandContext): void {
  const command = program
    .command("classify")
    .description("say which labels fit pictures best")
    .argument("[images...]", picturesHelp)
    .option(
      "--model <model>",
      `a folder that \`convert\`, \`export\` or \`quickstart\` wrote, or of transformers.js or Immich; a run's folder, a file of weights, or a name that was pulled; may be given again (default: "${defaultModel}")`,
      repeated,
    )
  addLabelOptions(command).addOption(
    new Option("--baked <file>", "labels that `bake-labels` wrote; one for each --model, in their order")
      .argParser(repeated)
      .conflicts(["labels", "labelsFile", "template", "templates"]),
  )
  addPictureOptions(command)
    .addOption(decodeOption())
    .option("--top <k>", "labels to show for each picture", wholeNumber(1), 5)
    .addOption(threadsOption())
    .option("--json", "print [{ image, model, orientation, decode, labels: [{ label, score, cosine }] }]")
    .addOption(new Option("--csv", "print a line for each label").conflicts("json"))
    .option("--out <file>", "write to a file, which is complete or absent, in place of printing")
    .addOption(labelCacheOption())
    .addOption(progressOption())
    .addOption(verboseOption("say what was chosen: models, threads, how pictures are read"))
    .addHelpText("after", more)
    .action((images: string[], options: Options, command: Command) => classify(images, options, command, context))
}

async function classify(
  images: readonly string[],
  options: Options,
  command: Command,
  context: CommandContext,
): Promise<void> {
  const { writeOut, writeErr } = command.configureOutput()
  const say = (line: string) => writeErr?.(`${line}\n`)
  const { model: models = [defaultModel], baked, out, threads, cache } = options
  const given: GivenLabels = baked ? { kind: "baked", files: baked } : await readWords(options, command, say)
  if (!options.model) requireDefaultModel()
  await prepareOut(out)
  const saving = out === undefined ? null : context.abortOnInterrupt("stopping: nothing is written")
  const onChoice = options.verbose && say
  await using opened = await openClassifiers(models, given, {
    ...{ threads, cache, onChoice, onStage: say, onNote: say },
    startProgress: ofLongWork(progressReporter(options.progress)),
  })
  for (const line of [...opened.notes, ...(options.verbose ? choices(opened, options) : [])]) say(line)
  const files = await picturesNamed(images, options, command)
  const tally = new PictureTally(files.length, (text) => writeErr?.(text), {
    mode: options.progress,
    isPrinting: out === undefined,
  })
  // Until now the process could end at once; what is printed from now on is to be whole.
  const signal = saving ?? context.abortOnInterrupt("stopping after the current pictures", undefined, "printing")
  const encoding = { decode: decodingOf(options), threads, onChoice, signal, top: options.top }
  const classified = classifyFiles(files, opened.classifiers, encoding)
  const chunks = resultChunks(results(tally.readable(classified), options), formatOf(options), {
    ...{ images: files, models },
    labels: opened.classifiers.flatMap(({ labels }) => labels.labels),
  })
  await deliver(chunks, out, writeOut)
  tally.end()
}

async function* results(files: AsyncIterable<Readable<ClassifiedFile>>, options: Options): AsyncGenerator<Result> {
  const reading = readingOf(options)
  for await (const { image, results } of files)
    for (const { model, labels } of results) yield { image, model, ...reading, labels }
}

function formatOf({ json, csv }: Options) {
  return json ? "json" : csv ? "csv" : "table"
}

function choices({ classifiers }: OpenClassifiers, options: Options): string[] {
  return [
    ...classifiers.flatMap(({ model, encoder, labels }, i) => [
      modelChoice(model, encoder, options),
      labelsChoice(labels, options.baked?.[i]),
    ]),
    readingChoice(readingOf(options)),
  ]
}

function requireDefaultModel(): void {
  if (existsSync(defaultModel)) return
  throw new UserError(
    `no --model was given, and ${defaultModel}, which is used then, does not exist`,
    "`mobileclip quickstart` writes it; or name a model: a folder, a file of weights, or a name (`mobileclip pull --list`)",
  )
}
