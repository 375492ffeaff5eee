/** mobileclip index forget */
import type { Command } from "commander"
import { counted } from "../../core/counted.ts"
import { ofLongWork } from "../../core/progress.ts"
import { indexCommand } from "../../search/store/index-command.ts"
import { excludedPaths, forgetPaths, undoForget } from "../../search/upkeep/forget.ts"
import { type CommandContext, sameCommand } from "../context.ts"
import { progressOption } from "../options.ts"
import { type ProgressMode, progressReporter } from "../progress.ts"
import { indexOption } from "./index-option.ts"

interface Options {
  readonly index: string
  readonly once?: true
  readonly list?: true
  readonly undo?: true
  readonly json?: true
  readonly progress: ProgressMode
}

export function registerForget(command: Command, context: CommandContext): void {
  command
    .command("forget")
    .description("take files or folders out of an index, with their vectors and words; the files stay")
    .argument("[paths...]", "files or folders; they need not exist any more")
    .addOption(indexOption())
    .option("--once", "the next run of `index` may add them again")
    .option("--list", "print the paths that are not indexed again")
    .option("--undo", "the next run of `index` adds the paths again")
    .option("--json", "print one JSON object")
    .addOption(progressOption())
    .action((paths: string[], options: Options, command: Command) => run(paths, options, command, context))
}

async function run(paths: string[], given: Options, command: Command, context: CommandContext): Promise<void> {
  const { index, once, list, undo, json, progress } = given
  if (list ? paths.length > 0 || undo : paths.length === 0)
    command.error("error: name files or folders to forget, or give --list alone")
  if (undo && once) command.error("error: --undo and --once exclude each other")
  const print = <T>(result: T, text: string) =>
    command.configureOutput().writeOut?.(json ? `${JSON.stringify(result)}\n` : text && `${text}\n`)
  if (list) {
    const excluded = excludedPaths(index)
    return void print(excluded, excluded.join("\n"))
  }
  if (undo) {
    const undone = await undoForget(index, paths)
    return void print(undone, `the next run indexes ${counted(undone.length, "path")} again: ${indexCommand(index)}`)
  }
  const signal = context.abortOnInterrupt("stopping after the current files", sameCommand(context.argv))
  const result = await forgetPaths(index, paths, {
    once,
    signal,
    startProgress: ofLongWork(progressReporter(progress)),
  })
  const { files, pictures, excluded } = result
  const again = excluded ? "they are not indexed again (--undo changes that)" : "the next run adds what is there"
  if (files === 0) return print(result, "all of it was forgotten before")
  print(result, `${counted(files, "file")} and ${counted(pictures, "picture")} forgotten; ${again}`)
}
