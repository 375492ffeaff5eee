/** mobileclip index retry */
import type { Command } from "commander"
import { retryFailures } from "../../search/upkeep/retry.ts"
import { type CommandContext, sameCommand } from "../context.ts"
import { PartialSuccess } from "../errors.ts"
import { progressOption, threadsOption } from "../options.ts"
import { type ProgressMode, progressReporter } from "../progress.ts"
import { indexOption } from "./index-option.ts"

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
      writeOut?.(json ? `${JSON.stringify(summary)}\n` : `${encoded} encoded, ${known} copies, ${failed} failed\n`)
      if (failed > 0) throw new PartialSuccess(`${failed} files could not be read: mobileclip index status tells why`)
    })
}
