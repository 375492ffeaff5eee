/** mobileclip caption */
import { type Command, Option } from "commander"
import { UserError } from "../../core/errors.ts"
import { printable } from "../../core/printable.ts"
import { imageFiles } from "../../host/image/image-files.ts"
import { decodeImage } from "../../host/image/images.ts"
import { generationTypes } from "../../run/caption/options.ts"
import type { CaptionOptions } from "../../run/captioner.ts"
import { type LoadOptions, loadCaptioner } from "../../weights/load-model.ts"
import { failureLine } from "../errors.ts"
import { wholeNumber } from "../options.ts"

type Options = CaptionOptions & LoadOptions & { readonly model: string; readonly json?: true }

const examples = `
Examples:
  mobileclip convert CoCa-ViT-L-14-mscoco --out models/coca
  mobileclip caption photos --model models/coca                      the most likely captions, by beam search
  mobileclip caption photos --model models/coca --generation-type top_p --top-p 0.9 --per-image 5
`

export function register(program: Command): void {
  program
    .command("caption")
    .description("write captions for pictures, with a CoCa model")
    .argument("<images...>", "picture files, or folders of them")
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
    .option("--threads <n>", "processor threads (default: all)", wholeNumber(1))
    .option("--json", "print [{ image, captions }]")
    .addHelpText("after", examples)
    .action(caption)
}

async function caption(images: readonly string[], options: Options, command: Command): Promise<void> {
  const { writeOut, writeErr } = command.configureOutput()
  const onStage = (line: string) => writeErr?.(`${line}\n`)
  await using captioner = await loadCaptioner(options.model, { ...options, onStage })
  const results: { image: string; captions: string[] }[] = []
  const files = await imageFiles(images, (line) => writeErr?.(`${line}\n`))
  for (const image of files) {
    try {
      const [captions] = await captioner.caption([await decodeImage(image)], { ...options, keys: [image] })
      results.push({ image, captions: captions! })
      if (!options.json) writeOut?.(captionText(image, captions!))
    } catch (error) {
      if (!(error instanceof UserError) || files.length === 1) throw error
      writeErr?.(failureLine(error))
    }
  }
  if (options.json) writeOut?.(`${JSON.stringify(results, null, 2)}\n`)
  if (results.length < files.length) throw new UserError(`${files.length - results.length} of ${files.length} failed`)
}

function captionText(image: string, captions: readonly string[]): string {
  return [image, ...captions.map((text) => `  ${text}`)].map((line) => `${printable(line)}\n`).join("")
}
