/** mobileclip reinforce stats */
import type { Command } from "commander"
import { contactSheetDefaults, statsDefaults } from "../../../reinforce/tools/tool-options.ts"
import type { CommandContext } from "../../context.ts"
import { progressOption, wholeNumber } from "../../options.ts"
import { type ProgressMode, progressReporter } from "../../progress.ts"
import { readersOption } from "../shard-options.ts"
import { outputOf } from "../summary.ts"
import { widths } from "../tools/options.ts"
import { statsText } from "../tools/stats-text.ts"

interface Options {
  readonly samples: number
  readonly seed: number
  readonly tagSuffix: string
  readonly teacherWidths?: readonly number[]
  readonly contactSheet?: string
  readonly rows: number
  readonly views: number
  readonly size: number
  readonly workers?: number
  readonly progress: ProgressMode
  readonly json?: true
}

const examples = `
Examples:
  mobileclip reinforce stats data/reinforced
  mobileclip reinforce stats data/reinforced --contact-sheet sheet.png --rows 12 --views 6
`

export function register(parent: Command, context: CommandContext): void {
  const command = parent
    .command("stats")
    .description("count what is in shards, compare teachers, and draw a contact sheet")
    .argument("<shards...>", "the output folder of a job, or any shards")
    .option("--samples <n>", "chosen at random, to compare teachers on", wholeNumber(0), statsDefaults.samples)
    .option("--seed <n>", "of their choice", wholeNumber(0), statsDefaults.seed)
    .option("--tag-suffix <suffix>", "after the keys of the embeddings that are compared", statsDefaults.tagSuffix)
    .option("--teacher-widths <list>", "such as 768,768 (default: found in the vectors)", widths)
    .option("--contact-sheet <file>", "a PNG of chosen samples: original, views made again, captions")
    .option("--rows <n>", "samples on it", wholeNumber(1, 100), contactSheetDefaults.rows)
    .option("--views <n>", "views of each", wholeNumber(1, 32), contactSheetDefaults.views)
    .option("--size <n>", "side of a view on it, in pixels", wholeNumber(32, 1024), contactSheetDefaults.size)
    .addOption(readersOption())
    .option("--json", "print the whole report")
    .addOption(progressOption())
    .addHelpText("after", examples)
    .action(async (shards: readonly string[], options: Options) => {
      const { samples, seed, tagSuffix, teacherWidths, contactSheet: file, rows, views, size } = options
      const { shardStats } = await import("../../../reinforce/tools/stats/stats.ts")
      const report = await shardStats(shards, {
        ...{ samples, seed, tagSuffix, signal: context.abortOnInterrupt() },
        ...(options.workers !== undefined && { workers: options.workers }),
        ...(teacherWidths && { teacherWidths }),
        ...(file !== undefined && { contactSheet: { file, rows, views, size } }),
        startProgress: progressReporter(options.progress),
      })
      outputOf(command).writeOut(`${options.json ? JSON.stringify(report, null, 2) : statsText(report)}\n`)
    })
}
