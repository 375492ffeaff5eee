/** mobileclip embed */
import { type Command, Option } from "commander"
import { UserError } from "../../core/errors.ts"
import { modelDtypes } from "../../core/precision.ts"
import { preprocessingText, readingChoice, threadsChoice } from "../../embed/choices.ts"
import { type EmbeddedModel, type EmbedOptions, embed, embedDefaults } from "../../embed/embed.ts"
import { fileInputs, type Inputs } from "../../embed/inputs.ts"
import { failuresFile } from "../../embed/model-folder.ts"
import { type EmbedSettings, embedOutputs, storedTypes } from "../../embed/settings.ts"
import { readLines } from "../../host/files/path-list.ts"
import { type CommandContext, sameCommand } from "../context.ts"
import { failureLine, PartialSuccess } from "../errors.ts"
import { progressOption, repeated, threadsOption, verboseOption, wholeNumber } from "../options.ts"
import {
  addPictureOptions,
  decodeOption,
  type PictureOptions,
  picturesHelp,
  picturesNamed,
  readingOf,
} from "../picture-options.ts"
import { type ProgressMode, progressReporter } from "../progress.ts"

type Shared = Pick<
  EmbedOptions,
  "out" | "store" | "partSize" | "batchSize" | "retryFailures" | "threads" | "runtime" | "device" | "dtype"
>

interface Options extends Shared, PictureOptions {
  readonly out: string
  readonly model: readonly string[]
  readonly texts?: string
  readonly format: EmbedSettings["output"]
  readonly progress: ProgressMode
  readonly json?: true
  readonly verbose?: true
}

const more = `
Examples:
  mobileclip embed photos --model models/s0 --out vectors                     img_emb/*.npy and metadata/*.parquet
  mobileclip embed photos --model models/s0 --model models/s2 --out vectors   a folder for each; pictures are decoded once
  find photos -name '*.jpg' -print0 | mobileclip embed - --model models/s0 --out vectors --store float16
  mobileclip embed 'shards/*.tar' --model models/s0 --out vectors             WebDataset: a file for each shard
  mobileclip embed --texts captions.txt --model models/s0 --out texts         a row for each line: text_emb/*.npy
  mobileclip embed photos --model models/s0 --format jsonl --out vectors      a line for each picture
  mobileclip embed photos --model run/model.safetensors --dtype auto --out vectors

The layout is clip-retrieval's: rows of the matrices and of the tables are the same pictures, in the order of their paths; vectors
are of unit length. A text beside a picture (x.txt beside x.jpg) is its caption. embed.json says what made them. Files are
complete or absent, and the same command goes on after Ctrl-C or a crash: nothing is lost and nothing comes twice. Pictures that
cannot be read are left out and listed in ${failuresFile}, each with its reason; --retry-failures makes their parts again. Exit
code 3: done, but for those.
`

export function register(program: Command, context: CommandContext): void {
  const command = program
    .command("embed")
    .description("write vectors of pictures or texts to files")
    .argument("[images...]", `${picturesHelp}; or shards (.tar, .jsonl)`)
    .requiredOption("--model <model>", "whatever `classify` takes; may be given again", repeated)
    .requiredOption("--out <dir>", "the folder to write, or to go on with")
    .option("--texts <file>", "in place of pictures: texts, one on each line; - is stdin")
  addPictureOptions(command)
    .addOption(decodeOption())
    .addOption(new Option("--format <name>", "of the files").choices(embedOutputs).default(embedDefaults.output))
    .addOption(
      new Option("--store <type>", "of values in .npy files").choices(storedTypes).default(embedDefaults.store),
    )
    .option("--part-size <n>", "pictures or texts of a file", wholeNumber(1, 1_000_000), embedDefaults.partSize)
    .option("--batch-size <n>", "that a model takes at a time (default: 8 pictures, 256 texts)", wholeNumber(1, 4096))
    .option("--retry-failures", "make the parts again that lack an input")
    .addOption(threadsOption())
    .addOption(new Option("--device <device>", "where models compute").choices(["cpu", "cuda"]))
    .addOption(new Option("--runtime <name>", "what runs them").choices(["onnxruntime", "libtorch"]))
    .addOption(
      new Option(
        "--dtype <type>",
        "of the models' weights (default: as they are), or auto: the faster of fp32 and bf16, by a short measurement",
      ).choices([...modelDtypes, "auto"]),
    )
    .option("--json", "print [{ model, folder, embedDim, rows, failures }]")
    .addOption(progressOption())
    .addOption(verboseOption("say what was chosen: models, runtime, type, threads, how pictures are read"))
    .addHelpText("after", more)
    .action((images: string[], options: Options, command: Command) => run(images, options, command, context))
}

async function run(
  images: readonly string[],
  given: Options,
  command: Command,
  context: CommandContext,
): Promise<void> {
  const { writeOut, writeErr } = command.configureOutput()
  const { model: models, texts, format, filesFrom, progress, json, verbose, ...options } = given
  const say = (line: string) => writeErr?.(`${line}\n`)
  if (format === "jsonl" && options.store !== embedDefaults.store) command.error("error: --store is of .npy files")
  const inputs = await inputsOf(images, given, command)
  const failures = new FewLines((text) => writeErr?.(text))
  const results = await embed({
    ...options,
    ...{ models, inputs, output: format, onStage: say },
    ...{ startProgress: progressReporter(progress), onFailure: (error: Error) => failures.add(error) },
    ...(verbose && verboseTo(say, given)),
    signal: context.abortOnInterrupt("stopping after the current pictures", sameCommand(context.argv)),
  })
  writeOut?.(
    json ? `${JSON.stringify(results, null, 2)}\n` : results.map((result) => summaryOf(result, inputs)).join(""),
  )
  const { rows, failures: left } = results[0]!
  if (left.length === 0) return
  const where = results.map(({ folder }) => `${folder}/${failuresFile}`).join(", ")
  const message = `${left.length} of ${rows + left.length} pictures could not be read: ${where}`
  throw rows > 0 ? new PartialSuccess(message) : new UserError(message)
}

async function inputsOf(images: readonly string[], options: Options, command: Command): Promise<Inputs> {
  const { texts, filesFrom } = options
  if (texts === undefined) return filesAsInputs(await picturesNamed(images, options, command))
  if (images.length > 0 || filesFrom !== undefined) command.error("error: give either pictures or --texts")
  return { kind: "texts", items: await readLines(texts) }
}

/** Shards are told by their names. */
function filesAsInputs(files: readonly string[]): Inputs {
  const isShard = (path: string) => /\.(tar|jsonl|jsonl\.gz|jsonl\.zst)$/i.test(path)
  const [shard, picture] = [files.find(isShard), files.find((path) => !isShard(path))]
  if (shard === undefined) return fileInputs("pictures", files)
  if (picture === undefined) return fileInputs("shards", files)
  throw new UserError(`${shard} is a shard, and ${picture} is not`, "embed shards and pictures to folders of their own")
}

function summaryOf({ model, folder, rows, embedDim }: EmbeddedModel, { kind }: Inputs): string {
  const what = kind === "texts" ? "texts" : "pictures"
  return `${folder}: ${rows} ${what} by ${model}, ${embedDim} values each, of unit length\n`
}

function verboseTo(say: (line: string) => void, options: Options): Pick<EmbedOptions, "onChoice" | "onModels"> {
  const said = new Set<string>()
  const once = (line: string) => {
    if (!said.has(line)) say(line)
    said.add(line)
  }
  return { onChoice: once, onModels: (models) => choices(models, options).forEach(say) }
}

function choices(models: readonly EmbedSettings[], options: Options): string[] {
  const lines = models.map(({ model, computed: { runtime, device, dtype }, preprocessing, embedDim }) =>
    [
      `model ${model}: ${runtime} on ${device}, ${threadsChoice(options.threads)}; ${dtype}`,
      `${preprocessingText(preprocessing)}; ${embedDim} values a vector`,
    ].join("; "),
  )
  return options.texts === undefined ? [...lines, readingChoice(readingOf(options))] : lines
}

/** Lines on stderr, the first of many. */
class FewLines {
  private count = 0

  constructor(private readonly write: (text: string) => void) {}

  add(error: Error): void {
    if (this.count++ < mostLines) this.write(failureLine(error))
    else if (this.count === mostLines + 1) this.write(`... and more, which ${failuresFile} will list\n`)
  }
}

const mostLines = 10
