/** mobileclip index */
import { type Command, Option } from "commander"
import { counted } from "../../core/counted.ts"
import { type IndexOptions, type IndexSummary, indexPictures } from "../../search/indexing/index-pictures.ts"
import { beNice, chooseNice } from "../../search/indexing/nice.ts"
import { makeThumbnails } from "../../search/indexing/thumbnails.ts"
import { watchPictures } from "../../search/indexing/watch.ts"
import { storeChoice } from "../../search/lance/index-table.ts"
import { indexCommand } from "../../search/store/index-command.ts"
import { type CommandContext, sameCommand } from "../context.ts"
import { progressOption, repeated, threadsOption, verboseOption } from "../options.ts"
import { type ProgressMode, progressReporter } from "../progress.ts"
import { registerCompact } from "../search/index-compact.ts"
import { registerExport } from "../search/index-export.ts"
import { registerForget } from "../search/index-forget.ts"
import { registerImport } from "../search/index-import.ts"
import { registerMigrate } from "../search/index-migrate.ts"
import { indexOption } from "../search/index-option.ts"
import { registerRetry } from "../search/index-retry.ts"
import { registerStatus } from "../search/index-status.ts"
import { registerVerify } from "../search/index-verify.ts"
import { requireAllRead } from "../search/unread-files.ts"

interface Options {
  readonly index: string
  readonly model?: string
  readonly watch?: true
  readonly nice?: boolean
  readonly orientation?: "apply" | "ignore"
  readonly decode?: "exact" | "fast"
  readonly store?: string
  readonly retry?: true
  readonly prune?: true
  readonly exclude?: readonly string[]
  readonly thumbnails?: true
  readonly threads?: number
  readonly json?: true
  readonly progress: ProgressMode
  readonly verbose?: true
}

const more = `
Examples:
  mobileclip index ~/Pictures --model MobileCLIP2-S0     make an index, or bring it up to date
  mobileclip index                                       all folders of the index again: only what changed is read
  mobileclip index ~/Pictures --watch                    and go on as pictures come, change and go
  mobileclip index ~/Pictures --index ~/Pictures.index   another index
  mobileclip index ~/Pictures --exclude 'raw' --exclude 'phone/**/*.gif'   without some, which is kept with the folder
  mobileclip search a red car at night                   works while it is being made

A file whose bytes are in the index, because it was copied, renamed or moved, is not encoded again. Pictures are turned as their
cameras noted. Folders that other programs keep for themselves (@eaDir, node_modules, ...) are left out. An interrupted command goes on when it is given again. Exit code 3: done, but for files that could not be read.
`

export function register(program: Command, context: CommandContext): void {
  // Options after a subcommand's name are its own: `index` has some of the same names.
  const command = program
    .enablePositionalOptions()
    .command("index")
    .description("keep folders of pictures in an index, which `search` looks in")
    .argument("[folders...]", "folders of pictures; none: all that the index has")
    .enablePositionalOptions()
    .addOption(indexOption())
    .option("--model <model>", "for a new index: whatever `classify` takes")
    .option("--watch", "go on as pictures come, change and go; ends with Ctrl-C")
    .option("--nice", "low priority and at most half of the processors (default: on battery, and with --watch)")
    .option("--no-nice", "all processors")
    .addOption(
      new Option("--orientation <how>", 'of a new index: turn pictures as cameras noted (default: "apply")').choices([
        "apply",
        "ignore",
      ]),
    )
    .addOption(
      new Option("--decode <how>", 'of a new index: "fast" makes large JPEG files smaller in the decoder').choices([
        "exact",
        "fast",
      ]),
    )
    .option("--store <where>", "of a new index: where vectors are searched, file or lancedb[:ADDRESS]")
    .option("--retry", "try files again that could not be read")
    .option("--prune", "take files out of the index whose folder is gone or empty")
    .option(
      "--exclude <pattern>",
      'leave out names, or paths below the folder, from now on; may be given again ("": nothing more)',
      repeated,
    )
    .option("--thumbnails", "also make small pictures that lack, in the index's folder")
    .addOption(threadsOption())
    .addOption(new Option("--json", "print what was done as JSON"))
    .addOption(progressOption())
    .addOption(verboseOption("say what was chosen, and each file that cannot be read"))
    .addHelpText("after", more)
    .action((folders: string[], options: Options, command: Command) => run(folders, options, command, context))
  for (const register of [registerStatus, registerVerify, registerCompact, registerForget, registerRetry])
    register(command, context)
  for (const register of [registerMigrate, registerImport, registerExport]) register(command, context)
}

async function run(folders: string[], given: Options, command: Command, context: CommandContext): Promise<void> {
  const { writeOut, writeErr } = command.configureOutput()
  const say = (line: string) => writeErr?.(`${line}\n`)
  const { index, json, verbose, watch = false, thumbnails } = given
  if (watch && thumbnails) command.error("error: --thumbnails is for a run that ends, and --watch does not")
  const signal = context.abortOnInterrupt("stopping: what is encoded is kept", sameCommand(context.argv))
  const options = { ...libraryOptions(given, say), signal }
  const show = (summary: IndexSummary) => writeOut?.(json ? `${JSON.stringify(summary)}\n` : textOf(summary, index))
  if (watch) await watchPictures(index, folders, { ...options, onPass: show })
  const summary = await indexPictures(index, folders, options)
  show(summary)
  if (thumbnails) {
    const { made, known, failed } = await makeThumbnails(index, options)
    say(`thumbnails: ${made} made, ${known} there, ${counted(failed, "picture")} cannot be read any more`)
  }
  requireAllRead(summary, verbose ? "" : `: ${indexCommand(index, "status")} tells why`)
}

function libraryOptions(given: Options, say: (line: string) => void): Omit<IndexOptions, "signal"> {
  const { model, orientation, decode, store, retry, prune, exclude, progress, verbose, watch = false } = given
  const { nice, reason } = chooseNice(given.nice, watch)
  if (nice) say(`low priority and at most half of the processors: ${reason}`)
  return {
    ...{ model, retry, prune, exclude, threads: nice ? beNice(given.threads) : given.threads },
    settings: {
      ...(orientation && { orientation }),
      ...(decode && { decode }),
      ...(store !== undefined && { store: storeChoice(store) }),
    },
    ...{ startProgress: progressReporter(progress), onNote: say, onStage: say },
    ...(verbose && {
      onChoice: say,
      onFailure: (path: string, why: string) => say(why.includes(path) ? why : `${path}: ${why}`),
    }),
  }
}

function textOf(summary: IndexSummary, index: string): string {
  const { encoded, known, unchanged, described, removed, failed, failedBefore, unread, kept, seconds } = summary
  const rate = encoded > 0 ? ` (${(encoded / seconds).toFixed(1)} a second)` : ""
  const parts = [
    ...[`${encoded} encoded${rate}`, `${known} copied or moved`, `${unchanged} unchanged`],
    ...(described > 0 ? [`${described} with another caption`] : []),
    ...[`${removed} gone`, `${failed} failed`],
    ...(failedBefore > 0 ? [`${failedBefore} failed before (${indexCommand(index, "retry")} tries again)`] : []),
    ...(kept > 0 ? [`${kept} kept whose folder is away`] : []),
    ...(unread > 0 ? [`${unread} not read now`] : []),
  ]
  const { pictures, files } = summary
  return `${parts.join(", ")}\nthe index has ${counted(pictures, "picture")} in ${counted(files, "file")}\n`
}
