/** mobileclip shards index */
import type { Command } from "commander"
import { UserError } from "../../core/errors.ts"
import type { DamagedShard, IndexedShards } from "../../data/sample-index/index-shards.ts"
import { type IndexedSources, indexSources } from "../../data/training/sources/index-lists.ts"
import type { CommandContext } from "../context.ts"
import { failureLine, joinedLines } from "../errors.ts"
import { progressOption, wholeNumber } from "../options.ts"
import { type ProgressMode, progressReporter } from "../progress.ts"

interface Options {
  readonly imageColumn?: string
  readonly captionColumn?: string
  readonly again?: true
  readonly jobs?: number
  readonly progress: ProgressMode
  readonly json?: true
}

const examples = `
Examples:
  mobileclip shards index data/shards                      00000.tar.index and so on, beside the shards
  mobileclip shards index 'data/{00000..12799}.tar' --jobs 16
  mobileclip shards index data/shards more/shards --json
  mobileclip shards index pairs.csv                        pairs.csv.index, where each row begins

An index says where each sample begins, in 8 bytes: training starts without reading the shards, on every machine that sees
them. One that fits its shard, by size and time of the last change, is not made again; copy both with their times (cp -p,
rsync -a); that of a list is made again where the list has another path, or training names other columns. Training makes
those that are missing by itself, in its user's cache. Nothing needs them: they can be removed. Exit code 1: some shards are
damaged, or could have no index; the others are done.
`

const indexJson =
  "print { shards, made, inCache, small, compressed, samples, damaged: [{ path, reason, hint, isIndexed }], " +
  "lists: [{ path, rows, index }] }"

export function register(shards: Command, context: CommandContext): void {
  shards
    .command("index")
    .description("write an index beside each local shard, so that training starts at once")
    .argument("<shards...>", "folders, or lists of .tar and .jsonl files; CSV, TSV and JSONL files that list pictures")
    .option("--image-column <name>", "column of the pictures in a CSV or JSONL file")
    .option("--caption-column <name>", "column of the captions in a CSV or JSONL file")
    .option("--again", "make indexes again that are there")
    .option("--jobs <n>", "threads that read shards (default: the processors)", wholeNumber(1, 1024))
    .option("--json", indexJson)
    .addOption(progressOption())
    .addHelpText("after", examples)
    .action(async (sources: string[], { again, jobs, progress, json, ...columns }: Options, command: Command) => {
      const { writeOut, writeErr } = command.configureOutput()
      const done = await indexSources({
        ...columns,
        ...{ sources, again: again === true, ...(jobs !== undefined && { threads: jobs }) },
        startProgress: progressReporter(progress),
        onNote: (line) => writeErr?.(`${line}\n`),
        signal: context.abortOnInterrupt("stopping; indexes that are complete stay"),
      })
      writeOut?.(json ? `${JSON.stringify(done, null, 2)}\n` : summary(done))
      for (const shard of done.damaged) writeErr?.(damageText(shard))
      requireSound(done)
    })
}

function summary(done: IndexedSources): string {
  const lists = done.lists.map(({ path, rows, index }) => `${path}: ${listTexts[index]}: ${counted(rows, "row")}\n`)
  return lists.join("") + (done.lists.length > 0 && done.shards === 0 ? "" : shardSummary(done))
}

const listTexts = { made: "indexed", found: "had an index", small: "too small to need an index" } as const

function shardSummary({ shards, made, inCache, small, compressed, samples, damaged }: IndexedShards): string {
  const failed = damaged.filter(({ isIndexed }) => !isIndexed).length
  const before = shards - made - small - compressed - failed
  const parts = [
    `${counted(made, "shard")} indexed`,
    ...(inCache > 0 ? ["in the cache"] : []),
    ...(before > 0 ? [`${before} had an index`] : []),
    ...(small > 0 ? [`${small} too small to need an index in the cache`] : []),
    ...(compressed > 0 ? [`${compressed} compressed, which are unpacked at each start`] : []),
    ...(failed > 0 ? [`${failed} failed`] : []),
  ]
  return `${parts.join(", ")}: ${counted(samples, "sample")}\n`
}

function counted(count: number, name: string): string {
  return `${count} ${name}${count === 1 ? "" : "s"}`
}

function damageText({ path, reason, hint }: DamagedShard): string {
  return failureLine(new Error(`${path}: ${reason}`)) + (hint === undefined ? "" : `  ${joinedLines(hint)}\n`)
}

function requireSound({ damaged, shards }: IndexedShards): void {
  if (damaged.length === 0) return
  const isLost = damaged.some(({ isIndexed }) => !isIndexed)
  throw new UserError(
    `${damaged.length} of ${shards} shards ${damaged.length === 1 ? "is" : "are"} damaged or without an index, as named above`,
    isLost ? "mend them, and run the command again" : "training leaves out the samples that are named",
  )
}
