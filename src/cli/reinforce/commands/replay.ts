/** mobileclip reinforce replay */
import { type Command, Option } from "commander"
import { UserError } from "../../../core/errors.ts"
import type { Interpolation } from "../../../core/image/resize.ts"
import { replayDefaults } from "../../../reinforce/tools/tool-options.ts"
import type { CommandContext } from "../../context.ts"
import { joinedLines, prefix } from "../../errors.ts"
import { wholeNumber } from "../../options.ts"
import { outputOf } from "../summary.ts"
import { list } from "../tools/options.ts"

interface Options {
  readonly output: string
  readonly size: number
  readonly interpolation: Interpolation
  readonly keys?: readonly string[]
  readonly limit: number
  readonly json?: true
}

const examples = `
Examples:
  mobileclip reinforce replay data/reinforced --output views --limit 20
  mobileclip reinforce replay data/reinforced/00000000.tar --output views --keys 5bc34525f914f402 --size 256
`

export function register(parent: Command, context: CommandContext): void {
  const command = parent
    .command("replay")
    .description("write the stored views of samples as images: KEY.view0.png, ... beside the original")
    .argument("<shards...>", "the output folder of a job, or any shards with pictures")
    .requiredOption("--output <folder>", "where images go")
    .option("--size <n>", "side of a view, in pixels", wholeNumber(1, 4096), replayDefaults.size)
    .addOption(
      new Option("--interpolation <name>", "of the crop")
        .choices(["bicubic", "bilinear"])
        .default(replayDefaults.interpolation),
    )
    .option("--keys <list>", "of samples, comma-separated (default: the first ones)", list)
    .option("--limit <n>", "samples at most", wholeNumber(1), replayDefaults.limit)
    .option("--json", "print what was written")
    .addHelpText("after", examples)
    .action(async (shards: readonly string[], { keys, json, ...options }: Options) => {
      const { writeOut, writeErr } = outputOf(command)
      const { replayViews } = await import("../../../reinforce/tools/replay.ts")
      const result = await replayViews(shards, {
        ...options,
        ...(keys && { keys }),
        signal: context.abortOnInterrupt(),
      })
      const { samples, views, problems } = result
      for (const { key, reason } of problems) writeErr(`${prefix()} ${joinedLines(`${key ?? "a shard"}: ${reason}`)}\n`)
      writeOut(
        json ? `${JSON.stringify(result, null, 2)}\n` : `${views} views of ${samples} samples in ${options.output}\n`,
      )
      if (samples === 0) throw new UserError("no sample has a picture and views")
    })
}
