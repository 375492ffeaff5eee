/** mobileclip index verify */
import type { Command } from "commander"
import { counted } from "../../core/counted.ts"
import { type VerifyOptions, verifyIndex } from "../../search/upkeep/verify.ts"
import { type CommandContext, sameCommand } from "../context.ts"
import { Exit } from "../errors.ts"
import { progressOption, threadsOption, wholeNumber } from "../options.ts"
import { type ProgressMode, progressReporter } from "../progress.ts"
import { indexOption } from "./index-option.ts"

type Options = Pick<VerifyOptions, "repair" | "sample" | "threads"> & {
  readonly index: string
  readonly json?: true
  readonly progress: ProgressMode
}

export function registerVerify(command: Command, context: CommandContext): void {
  command
    .command("verify")
    .description("whether an index is whole; exit code 1 where it is not")
    .addOption(indexOption())
    .option("--repair", "encode again what is lost of the vectors")
    .option("--sample <n>", "encode so many pictures again, and compare", wholeNumber(1))
    .addOption(threadsOption())
    .option("--json", "print one JSON object")
    .addOption(progressOption())
    .action(async ({ index, json, progress, ...options }: Options, command: Command) => {
      const signal = context.abortOnInterrupt("stopping", sameCommand(context.argv))
      const result = await verifyIndex(index, { ...options, signal, startProgress: progressReporter(progress) })
      const { problems, contents, repaired, compared } = result
      const lines = problems.map(({ what, hint }) => `${what}; ${hint}`)
      const total = `${counted(contents, "content")}, ${counted(problems.length, "problem")}, ${repaired} repaired, ${compared} compared`
      command.configureOutput().writeOut?.(`${json ? JSON.stringify(result, null, 2) : [...lines, total].join("\n")}\n`)
      if (problems.length > 0) throw new Exit(1)
    })
}
