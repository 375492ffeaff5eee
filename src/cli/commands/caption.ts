/** mobileclip caption */
import { type Command, Option } from "commander"
import { printable } from "../../core/printable.ts"
import { captionerChoice, readingChoice } from "../../embed/choices.ts"
import { decodeImage } from "../../host/image/images.ts"
import type { PictureReading } from "../../pictures/reading.ts"
import { type Captioned, captionEach } from "../../run/caption/caption-each.ts"
import type { CaptionOptions } from "../../run/caption/captioner.ts"
import { generationTypes } from "../../run/caption/options.ts"
import { type LoadOptions, loadCaptioner } from "../../weights/load-model.ts"
import { progressOption, threadsOption, verboseOption, wholeNumber } from "../options.ts"
import {
  addPictureOptions,
  decodingOf,
  type PictureOptions,
  picturesHelp,
  picturesNamed,
  readingOf,
} from "../picture-options.ts"
import { PictureTally, type Readable } from "../picture-tally.ts"
import type { ProgressMode } from "../progress.ts"
import { deliver, jsonChunks } from "../row-output.ts"

interface Options extends CaptionOptions, PictureOptions, Pick<LoadOptions, "threads"> {
  readonly model: string
  readonly json?: true
  readonly progress: ProgressMode
  readonly verbose?: true
}

const examples = `
Examples:
  mobileclip convert CoCa-ViT-L-14-mscoco --out models/coca
  mobileclip caption photos --model models/coca                      the most likely captions, by beam search
  mobileclip caption photos --model models/coca --generation-type top_p --top-p 0.9 --per-image 5
  find photos -name '*.jpg' -print0 | mobileclip caption - --model models/coca --json

Captions are printed as they come, in the order of the pictures. Exit code 3: done, but for pictures that could not be read,
each with its reason.
`

export function register(program: Command): void {
  const command = program
    .command("caption")
    .description("write captions for pictures, with a CoCa model")
    .argument("[images...]", picturesHelp)
    .requiredOption(
      "--model <model>",
      "a folder that `convert` wrote, a run's folder, a file of weights, or a name that was pulled",
    )
    .addOption(
      new Option("--generation-type <type>", "how captions are generated")
        .choices(generationTypes)
        .default("beam_search"),
    )
    .option("--per-image <n>", "captions for each picture", wholeNumber(1), 1)
    .option("--seq-len <n>", "most tokens of a caption, including start and end", wholeNumber(2), 30)
    .option("--top-p <share>", "draw from the most likely tokens whose probabilities add up to this share", Number, 0.9)
    .option("--top-k <n>", "draw from this many of the most likely tokens", wholeNumber(1), 1)
    .option("--temperature <t>", "temperature of the draws", Number, 1)
    .option("--seed <n>", "seed of the draws", wholeNumber(0), 0)
    .option("--whole", "keep what follows the first full stop")
  addPictureOptions(command)
    .addOption(threadsOption())
    .option("--json", "print [{ image, orientation, decode, captions }]")
    .addOption(progressOption())
    .addOption(verboseOption("say what was chosen: the model, threads, how pictures are read"))
    .addHelpText("after", examples)
    .action(caption)
}

async function caption(images: readonly string[], options: Options, command: Command): Promise<void> {
  const { writeOut, writeErr } = command.configureOutput()
  const say = (line: string) => writeErr?.(`${line}\n`)
  const files = await picturesNamed(images, options, command)
  const { model, threads, verbose } = options
  await using captioner = await loadCaptioner(model, { threads, onChoice: verbose && say, onStage: say })
  if (options.verbose)
    for (const line of [captionerChoice(captioner, options), readingChoice(readingOf(options))]) say(line)
  const tally = new PictureTally(files.length, (text) => writeErr?.(text), { mode: options.progress, isPrinting: true })
  const decode = (file: string) => decodeImage(file, decodingOf(options))
  const captioned = tally.readable(captionEach(captioner, files, decode, options))
  const reading = readingOf(options)
  await deliver(options.json ? jsonChunks(withReading(captioned, reading)) : texts(captioned), undefined, writeOut)
  tally.end()
}

type WithCaptions = Readable<Captioned>

async function* withReading(captioned: AsyncIterable<WithCaptions>, reading: PictureReading) {
  for await (const { image, captions } of captioned) yield { image, ...reading, captions }
}

async function* texts(captioned: AsyncIterable<WithCaptions>): AsyncGenerator<string> {
  for await (const { image, captions } of captioned)
    yield [image, ...captions.map((text) => `  ${text}`)].map((line) => `${printable(line)}\n`).join("")
}
