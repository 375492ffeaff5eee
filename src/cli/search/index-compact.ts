/** mobileclip index compact */
import type { Command } from "commander"
import { counted } from "../../core/counted.ts"
import { compactIndex } from "../../search/upkeep/compact.ts"
import { type CommandContext, sameCommand } from "../context.ts"
import { progressOption } from "../options.ts"
import { type ProgressMode, progressReporter } from "../progress.ts"
import { indexOption } from "./index-option.ts"

interface Options {
  readonly index: string
  readonly json?: true
  readonly progress: ProgressMode
}

export function registerCompact(command: Command, context: CommandContext): void {
  command
    .command("compact")
    .description("remove what no file has any more; searches go on meanwhile")
    .addOption(indexOption())
    .option("--json", "print one JSON object")
    .addOption(progressOption())
    .action(async ({ index, json, progress }: Options, command: Command) => {
      const signal = context.abortOnInterrupt("stopping: the index stays as it was", sameCommand(context.argv))
      const result = await compactIndex(index, { signal, startProgress: progressReporter(progress) })
      const { removed, pictures, before, after } = result
      const text = `${removed} removed, ${counted(pictures, "picture")} left; ${before} bytes before, ${after} now`
      command.configureOutput().writeOut?.(`${json ? JSON.stringify(result) : text}\n`)
    })
}
