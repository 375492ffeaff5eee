/** mobileclip index retry */
import type { Command } from "commander"
import { counted } from "../../core/counted.ts"
import { retryFailures } from "../../search/indexing/index-pictures.ts"
import { indexCommand } from "../../search/store/index-command.ts"
import { type CommandContext, sameCommand } from "../context.ts"
import { progressOption, threadsOption } from "../options.ts"
import { type ProgressMode, progressReporter } from "../progress.ts"
import { indexOption } from "./index-option.ts"
import { requireAllRead } from "./unread-files.ts"

interface Options {
  readonly index: string
  readonly threads?: number
  readonly json?: true
  readonly progress: ProgressMode
}

export function registerRetry(command: Command, context: CommandContext): void {
  command
    .command("retry")
    .description("try files again that could not be read")
    .addOption(indexOption())
    .addOption(threadsOption())
    .option("--json", "print one JSON object")
    .addOption(progressOption())
    .action(async ({ index, json, progress, threads }: Options, command: Command) => {
      const { writeOut, writeErr } = command.configureOutput()
      const summary = await retryFailures(index, {
        ...{ threads, startProgress: progressReporter(progress) },
        onNote: (line) => writeErr?.(`${line}\n`),
        signal: context.abortOnInterrupt("stopping: what is encoded is kept", sameCommand(context.argv)),
      })
      const { encoded, known, failed } = summary
      const text = `${encoded} encoded, ${counted(known, "copy", "copies")}, ${failed} failed\n`
      writeOut?.(json ? `${JSON.stringify(summary)}\n` : text)
      requireAllRead(summary, `: ${indexCommand(index, "status")} tells why`)
    })
}
