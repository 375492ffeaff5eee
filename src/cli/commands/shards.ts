/** mobileclip shards */
import type { Command } from "commander"
import { commandLine } from "../../core/shell-quote.ts"
import { type MadeShards, makeShards } from "../../data/make-shards/make-shards.ts"
import { type MakeShardsOptions, makeShardsDefaults } from "../../data/make-shards/options.ts"
import type { Truncated } from "../../host/image/picture-format.ts"
import { defaultRecipe } from "../../train/recipe/schema.ts"
import type { CommandContext } from "../context.ts"
import { PartialSuccess } from "../errors.ts"
import { maxFailuresOption, progressOption, repeated, truncatedOption, wholeNumber } from "../options.ts"
import { type ProgressMode, progressReporter } from "../progress.ts"
import * as index from "../shards/index-command.ts"

interface Options extends Pick<MakeShardsOptions, "imageColumn" | "captionColumn"> {
  readonly out?: string
  readonly samplesPerShard: number
  readonly shuffle?: number
  readonly captions: boolean
  readonly template?: readonly string[]
  readonly truncated: Truncated
  readonly maxFailures: number
  readonly progress: ProgressMode
  readonly json?: true
}

const examples = `
Examples:
  mobileclip shards pictures --out shards                  captions beside pictures (x.jpg, x.txt), or class folders
  mobileclip shards pairs.csv --out shards --image-column file --caption-column text
  mobileclip shards photos --out shards --no-captions      pictures alone: \`reinforce caption\`, \`reinforce embed\` and
                                                           \`train --dataset-reinforcement\` go on from there

A picture's bytes stay as they are; its caption is its txt, what else a list has is its json. Pictures and folders that
cannot be read are left out: failures.jsonl in the output says why (exit code 3). The same command goes on where one was
stopped.
`

export function register(program: Command, context: CommandContext): void {
  // Options after `index` are that command's, also where `shards` has the same ones.
  program.enablePositionalOptions()
  const shards = program
    .command("shards")
    .enablePositionalOptions()
    .description("pack pictures with captions into WebDataset shards, as train and reinforce read them")
    .argument("<pictures>", "a folder of pictures with captions or of class folders, a CSV, TSV or JSONL file")
    .option("--out <dir>", "the folder of the shards")
    .option(
      "--samples-per-shard <n>",
      "pictures in a .tar",
      wholeNumber(1, 100_000),
      makeShardsDefaults.samplesPerShard,
    )
    .option("--shuffle <seed>", "a random order in place of that of paths, or of the list", wholeNumber(0, 2 ** 32 - 1))
    .option("--no-captions", "pack the pictures of a folder without captions")
    .option(
      "--template <text>",
      'caption of a class folder, {} is its name; may be given again (default: "a photo of a {}.")',
      repeated,
    )
    .option("--image-column <name>", "column of the pictures in a CSV or JSONL file")
    .option("--caption-column <name>", "column of the captions in a CSV or JSONL file")
    .addOption(truncatedOption())
    .addOption(maxFailuresOption("stop when more pictures than this had to be left out"))
    .option("--json", "print { out, shards, resumed, samples, bytes, leftOut: [{ path, reason }] }")
    .addOption(progressOption())
    .addHelpText("after", examples)
    .action(async (source: string, { template, progress, json, ...options }: Options, command: Command) => {
      const { writeOut, writeErr } = command.configureOutput()
      const out = requireOut(options.out, command)
      const made = await makeShards({
        ...{ source, ...options, out, ...(template && { templates: template }) },
        startProgress: progressReporter(progress),
        onNote: (line) => writeErr?.(`${line}\n`),
        signal: context.abortOnInterrupt(),
      })
      writeOut?.(json ? `${JSON.stringify({ out, ...made }, null, 2)}\n` : summary(made, { ...options, out }))
      if (made.leftOut.length > 0) {
        const [{ path, reason }] = made.leftOut as [MadeShards["leftOut"][number]]
        throw new PartialSuccess(`left out: ${path}: ${reason}; all of them are in ${out}/failures.jsonl`)
      }
    })
  index.register(shards, context)
}

/** Not an option that commander requires: it would be required of the commands below, too. */
function requireOut(out: string | undefined, command: Command): string {
  if (out !== undefined) return out
  return command.error("error: required option '--out <dir>' not specified", {
    code: "commander.missingMandatoryOptionValue",
  })
}

function summary(
  { shards, resumed, samples, bytes, leftOut }: MadeShards,
  { out, captions }: { readonly out: string } & Pick<Options, "captions">,
): string {
  const before = resumed > 0 ? ` (${resumed} from before)` : ""
  const without = leftOut.length > 0 ? `, ${leftOut.length} left out` : ""
  const counts = `${samples} ${samples === 1 ? "picture" : "pictures"} in ${shards} ${shards === 1 ? "shard" : "shards"}${before}, ${(bytes / 1e6).toFixed(1)} MB${without}`
  const size =
    samples < defaultRecipe.batch.size ? ["--batch-size", String(Math.max(2, 2 ** Math.floor(Math.log2(samples))))] : []
  const train = commandLine(["mobileclip", "train", "--train-data", out, ...size, "--out", "runs/mine"])
  const reinforce = commandLine(["mobileclip", "reinforce", "caption", "--input", out, "--output", "captioned"])
  return `${out}: ${counts}\nnext:   ${captions ? train : `${reinforce} --model-name CAPTIONER`}\n`
}
