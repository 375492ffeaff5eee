/** mobileclip reinforce stats */
import type { Command } from "commander"
import { openStorage } from "../../../data/stores/open.ts"
import { writeAtomically } from "../../../host/files/files.ts"
import { findShards } from "../../../reinforce/tools/find-shards.ts"
import { contactSheet } from "../../../reinforce/tools/stats/contact-sheet.ts"
import { collectStats } from "../../../reinforce/tools/stats/stats.ts"
import type { CommandContext } from "../../context.ts"
import { progressOption, wholeNumber } from "../../options.ts"
import type { ProgressMode } from "../../progress.ts"
import { outputOf } from "../summary.ts"
import { shardProgress, widths } from "../tools/options.ts"
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
    .option("--samples <n>", "chosen at random, to compare teachers on", wholeNumber(0), 256)
    .option("--seed <n>", "of their choice", wholeNumber(0), 0)
    .option("--tag-suffix <suffix>", "behind the keys of the embeddings that are compared", "")
    .option("--teacher-widths <list>", "such as 768,768 (default: found in the vectors)", widths)
    .option("--contact-sheet <file>", "a PNG of chosen samples: original, views made again, captions")
    .option("--rows <n>", "samples on it", wholeNumber(1, 100), 8)
    .option("--views <n>", "views of each", wholeNumber(1, 32), 5)
    .option("--size <n>", "side of a view on it, in pixels", wholeNumber(32, 1024), 160)
    .option("--json", "print the whole report")
    .addOption(progressOption())
    .addHelpText("after", examples)
    .action(async (shards: readonly string[], options: Options) => {
      const { contactSheet: file, teacherWidths = null, tagSuffix: suffix, samples, seed, rows, views, size } = options
      const storage = openStorage()
      const set = await findShards(storage, shards)
      const progress = shardProgress(options.progress, "stats", set.shards.length)
      const onShard = (done: number, found: number) => progress.show(done, found)
      const chosen = Math.max(samples, file === undefined ? 0 : rows)
      const wanted = { samples: chosen, seed, suffix, teacherWidths, signal: context.abortOnInterrupt(), onShard }
      const stats = await collectStats(storage, set, wanted)
      progress.done()
      if (file !== undefined) await writeAtomically(file, [await contactSheet(stats.chosen, { rows, views, size })])
      const text = options.json ? JSON.stringify(stats.report, null, 2) : statsText(stats.report)
      outputOf(command).writeOut(`${text}\n`)
    })
}
