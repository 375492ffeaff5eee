/** mobileclip reinforce stats */
import type { Command } from "commander"
import { contactSheetDefaults, statsDefaults } from "../../../reinforce/tools/tool-options.ts"
import type { CommandContext } from "../../context.ts"
import { progressOption, wholeNumber } from "../../options.ts"
import { readersOption } from "../shard-options.ts"
import { outputOf } from "../summary.ts"
import { widths } from "../tools/options.ts"
import type { StatsCommandOptions } from "../tools/stats.ts"

interface Options extends StatsCommandOptions {
  readonly workers?: number
}

const examples = `
Examples:
  mobileclip reinforce stats data/reinforced
  mobileclip reinforce stats data/reinforced --contact-sheet sheet.png --rows 12 --views 6
`

/** What is counted, compared and drawn; also where workers of a server count what is in shards. */
export function addStatsOptions(command: Command): Command {
  return command
    .option("--samples <n>", "chosen at random, to compare teachers on", wholeNumber(0), statsDefaults.samples)
    .option("--seed <n>", "of their choice", wholeNumber(0), statsDefaults.seed)
    .option("--tag-suffix <suffix>", "after the keys of the embeddings that are compared", statsDefaults.tagSuffix)
    .option("--teacher-widths <list>", "such as 768,768 (default: found in the vectors)", widths)
    .option("--contact-sheet <file>", "a PNG of chosen samples: original, views made again, captions")
    .option("--rows <n>", "samples on it", wholeNumber(1, 100), contactSheetDefaults.rows)
    .option("--views <n>", "views of each", wholeNumber(1, 32), contactSheetDefaults.views)
    .option("--size <n>", "side of a view on it, in pixels", wholeNumber(32, 1024), contactSheetDefaults.size)
    .option("--json", "print the whole report")
    .addOption(progressOption())
}

export function register(parent: Command, context: CommandContext): void {
  const command = parent
    .command("stats")
    .description("count what is in shards, compare teachers, and draw a contact sheet")
    .argument("<shards...>", "the output folder of a job, or any shards")
  addStatsOptions(command)
    .addOption(readersOption())
    .addHelpText("after", examples)
    .action(async (shards: readonly string[], options: Options) => {
      const [{ shardStats }, { printStats, statsOptions }] = await Promise.all([
        import("../../../reinforce/tools/stats/stats.ts"),
        import("../tools/stats.ts"),
      ])
      const { workers, json } = options
      const wanted = statsOptions(options, context.abortOnInterrupt())
      const report = await shardStats(shards, { ...wanted, ...(workers !== undefined && { workers }) })
      printStats(report, json, outputOf(command))
    })
}
