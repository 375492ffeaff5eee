/** mobileclip quickstart */
import { availableParallelism } from "node:os"
import { join } from "node:path"
import type { Command } from "commander"
import type { CommandContext } from "../main.ts"
import { progressOption, wholeNumber } from "../options.ts"
import { type ProgressMode, progressReporter } from "../progress.ts"
import { type QuickstartOptions, quickstart } from "../quickstart/pipeline.ts"
import { recipe } from "../quickstart/recipe.ts"
import { reportJson } from "../quickstart/report.ts"
import { summary } from "../quickstart/summary.ts"

interface Options extends Pick<QuickstartOptions, "out" | "seed" | "steps" | "pictures" | "threads"> {
  readonly progress: ProgressMode
  readonly json?: true
}

const examples = `
Examples:
  mobileclip quickstart                          everything, in about five minutes on two cores
  mobileclip quickstart --steps 3000 --out runs/longer
  mobileclip quickstart --steps 20 --pictures 500 --out runs/tiny    a minute, to see that all works

An interrupted run goes on where it was when the same command is given again.
`

export function register(program: Command, context: CommandContext): void {
  program
    .command("quickstart")
    .description("render pictures, train a small MobileCLIP on them, export it, evaluate it, classify with it")
    .option("--out <dir>", "where everything is written", "runs/quickstart")
    .option("--seed <n>", "of the pictures and of the training", wholeNumber(0, 2 ** 32 - 1), 0)
    .option(
      "--steps <n>",
      `training steps of ${recipe.training.batchSize} pictures`,
      wholeNumber(1),
      recipe.training.steps,
    )
    .option("--pictures <n>", "pictures to train on", wholeNumber(recipe.training.batchSize), recipe.scenes.train)
    .option("--threads <n>", "processor threads", wholeNumber(1), availableParallelism())
    .option("--json", "print report.json")
    .addOption(progressOption())
    .addHelpText("after", examples)
    .action(async (options: Options, command: Command) => {
      const { writeOut, writeErr } = command.configureOutput()
      const report = await quickstart({
        ...options,
        startProgress: progressReporter(options.progress),
        say: (line) => writeErr?.(`${line}\n`),
        signal: context.abortOnInterrupt(),
      })
      const text = options.json
        ? JSON.stringify(reportJson(report), null, 2)
        : summary(report, join(options.out, "report.html"))
      writeOut?.(`${text}\n`)
    })
}
