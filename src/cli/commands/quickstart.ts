/** mobileclip quickstart */

import { join } from "node:path"
import { type Command, Option } from "commander"
import * as torch from "../../../torch/index.ts"
import { commandLine } from "../../core/shell-quote.ts"
import { libtorchInUse } from "../../doctor/computing.ts"
import { quickstart } from "../../experiments/quickstart/pipeline.ts"
import { type PresetName, presets, type QuickstartOptions } from "../../experiments/quickstart/recipe.ts"
import { reportJson } from "../../experiments/quickstart/report-page.ts"
import { usableProcessors } from "../../host/processors.ts"
import { type CommandContext, sameCommand } from "../context.ts"
import { progressOption, verboseOption, wholeNumber } from "../options.ts"
import { type ProgressMode, progressReporter } from "../progress.ts"
import { summary } from "../quickstart/summary.ts"

interface Options extends Pick<QuickstartOptions, "out" | "seed" | "seeds" | "threads"> {
  readonly preset: PresetName
  readonly progress: ProgressMode
  readonly verbose?: true
  readonly json?: true
}

const examples = `
Examples:
  mobileclip quickstart                          everything, in 3 minutes on two cores with AVX-512
  mobileclip quickstart --seeds 3                three students of each kind, for error bars
  mobileclip quickstart --preset tiny --out t    every stage, too short to learn anything: does all work here?

Two teachers and a captioner learn from precise captions; a noisy set is reinforced with them; the same student is trained
plain and reinforced. The page report.html grows meanwhile. After an interruption the same command goes on where it was.
`

export function register(program: Command, context: CommandContext): void {
  program
    .command("quickstart")
    .description("the whole loop on rendered pictures: teachers, reinforcement, a student plain and reinforced, export")
    .option("--out <dir>", "where everything is written", "runs/quickstart")
    .addOption(
      new Option("--preset <name>", "how much of everything").choices(Object.keys(presets)).default("standard"),
    )
    .option("--seed <n>", "seed of the pictures and of the training", wholeNumber(0, 2 ** 31), 0)
    .option(
      "--seeds <n>",
      "students of each kind; from 3 on, plain ones also of 1/4 and 1/2 of the samples",
      wholeNumber(1, 100),
      1,
    )
    .option("--threads <n>", "processor threads", wholeNumber(1), usableProcessors().count)
    .option("--json", "print report.json")
    .addOption(progressOption())
    .addOption(verboseOption())
    .addHelpText("after", examples)
    .action(async ({ preset, verbose, ...options }: Options, command: Command) => {
      const { writeOut, writeErr } = command.configureOutput()
      if (verbose) writeErr?.(`${libtorchInUse(torch.version(), { ...options, device: "cpu" })}\n`)
      const report = await quickstart({
        ...options,
        recipe: presets[preset],
        command: commandLine(["npx", "mobileclip", ...context.argv]),
        startProgress: progressReporter(options.progress),
        say: (line) => writeErr?.(`${line}\n`),
        signal: context.abortOnInterrupt(undefined, sameCommand(context.argv)),
      })
      const text = options.json
        ? JSON.stringify(reportJson(report), null, 2)
        : summary(report, join(options.out, "report.html"))
      writeOut?.(`${text}\n`)
    })
}
