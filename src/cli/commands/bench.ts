/** mobileclip bench */

import { type Command, InvalidArgumentError, Option } from "commander"
import {
  type BenchOptions,
  bench,
  benchDefaults,
  benchDevices,
  benchRuntimes,
  bytesText,
  familyNames,
  type LatencyRow,
  latencyPage,
  measureDefaults,
  quickNames,
  quickSettings,
} from "../../benchmark/latency/index.ts"
import { modelDtypes } from "../../core/precision.ts"
import { prepareFile, writeAtomically } from "../../host/files/files.ts"
import { usableProcessors } from "../../host/processors.ts"
import { durationText } from "../../report/numbers.ts"
import type { CommandContext } from "../context.ts"
import { latencyLine, latencyTitles } from "../latency-lines.ts"
import { number, progressOption, repeated, wholeNumber } from "../options.ts"
import { type ProgressMode, progressReporter } from "../progress.ts"

interface Options {
  readonly model?: readonly string[]
  readonly family?: true
  readonly quick?: true
  readonly tower?: BenchOptions["towers"]
  readonly device?: BenchOptions["devices"]
  readonly dtype?: BenchOptions["dtypes"]
  readonly batch?: BenchOptions["batches"]
  readonly runtime: NonNullable<BenchOptions["runtime"]>
  readonly threads?: number
  readonly seconds?: number
  readonly html?: string
  readonly progress: ProgressMode
  readonly json?: true
}

const more = `
Examples:
  mobileclip bench --quick                                   the small members of the family, in about a minute
  mobileclip bench --family --html latency.html              all of them, and the papers' figure for this machine
  mobileclip bench --family --json > latency.json            for \`mobileclip evaluate compare --latency latency.json\`
  mobileclip bench --model MobileCLIP2-S0 --batch 1,8,32 --threads 1
  mobileclip bench --model runs/own/model --model MobileCLIP2-S2 --dtype fp32,fp16 --device cpu,cuda

Names of the family need no weights: they are generated in the temporary folder (TMPDIR), because values do not change the
time, and a tower that several models have is measured once. Rows have short turns, one after the other, so that a machine
that becomes slower does so for all alike; each has turns until its median is known within 2 % (95 % confidence), or its
time is over.

Columns:
  median, p95   milliseconds of a run of the whole batch, after runs that warm up
  /s            pictures or texts a second
  peak          multiply-adds a second, as a share of a matrix product's that is measured beside the runs
  drift         change of that product's rate from the first run to the last
  MB, start     memory of a process that does nothing else, and milliseconds from its start to its first vector
`

export function register(program: Command, context: CommandContext): void {
  program
    .command("bench")
    .description(
      "measure latency and throughput on this machine, of the whole family without weights, or of your models",
    )
    .option(
      "--family",
      `the released models, and CLIP's ViT-B/16, ViT-B/32 and ViT-B/32 at 256 pixels: ${familyNames.length} models`,
    )
    .option(
      "--model <model>",
      "a name of the family, a folder that `convert` or `export` wrote, a file of weights, a run's folder; may be repeated",
      repeated,
    )
    .option("--quick", `fewer runs; without models: the family without S3, S4 and L/14`)
    .option("--tower <list>", "image, text (default: both)", listOf(benchDefaults.towers))
    .option("--batch <list>", "pictures or texts in a run (default: 1)", wholeNumbers)
    .option("--dtype <list>", "fp32, fp16, bf16 (default: fp32, or what a folder has)", listOf(modelDtypes))
    .option("--device <list>", `${benchDevices.join(", ")} (default: cpu)`, listOf(benchDevices))
    .addOption(new Option("--runtime <name>", "what computes").choices(benchRuntimes).default(benchDefaults.runtime))
    .option("--threads <n>", `processor threads (default: ${usableProcessors().count}, all)`, wholeNumber(1, 1024))
    .option(
      "--seconds <s>",
      `of runs, after which a row has no further turn (default: ${measureDefaults.seconds}; quick: ${quickSettings.seconds})`,
      number(0.01),
    )
    .option("--html <file>", "write a page with the plots")
    .option("--json", "print { machine, options, peakGflops, rows }")
    .addOption(progressOption())
    .addHelpText("after", more)
    .action((options: Options, command: Command) => run(options, command, context))
}

async function run(options: Options, command: Command, context: CommandContext): Promise<void> {
  const { writeOut, writeErr } = command.configureOutput()
  const { model = [], family, quick, html, json } = options
  const models = [...(family ? familyNames : []), ...model]
  if (models.length === 0 && !quick) command.error("error: give --family, --quick, or --model with a name or a path")
  if (html !== undefined) await prepareFile(html)
  const print = (line: string) => writeOut?.(`${line}\n`)
  const report = await bench({
    models: models.length > 0 ? models : quickNames,
    ...libraryOptions(options),
    onPlan({ rows, seconds, diskBytes }) {
      const room = diskBytes > 0 ? `, ${bytesText(diskBytes)} in the temporary folder meanwhile` : ""
      writeErr?.(`${rows} ${rows === 1 ? "row" : "rows"}, about ${durationText(seconds)}${room}\n`)
      if (!json) print(latencyTitles)
    },
    onRows: (rows: readonly LatencyRow[]) => json || print(latencyLine(rows)),
    say: (line) => writeErr?.(`${line}\n`),
    startProgress: progressReporter(options.progress),
    signal: context.abortOnInterrupt("stopping after the current run"),
  })
  if (html !== undefined) await writeAtomically(html, [await latencyPage(report)])
  if (json) print(JSON.stringify(report, null, 2))
  else if (html !== undefined) print(`\npage: ${html}`)
}

/** Without what was not given. */
function libraryOptions({ quick, tower, device, dtype, batch, runtime, threads, seconds }: Options) {
  return {
    ...(quick && { quick }),
    ...(tower && { towers: tower }),
    ...(device && { devices: device }),
    ...(dtype && { dtypes: dtype }),
    ...(batch && { batches: batch }),
    ...{ runtime },
    ...(threads !== undefined && { threads }),
    ...(seconds !== undefined && { settings: { seconds } }),
  }
}

function listOf<Choice extends string>(choices: readonly Choice[]): (text: string) => Choice[] {
  return (text) => {
    const words = text.split(",").map((word) => word.trim())
    const wrong = words.find((word) => !choices.some((choice) => choice === word))
    if (wrong !== undefined) throw new InvalidArgumentError(`"${wrong}" is not among ${choices.join(", ")}`)
    return words as Choice[]
  }
}

function wholeNumbers(text: string): number[] {
  return text.split(",").map((word) => wholeNumber(1, 65_536)(word.trim()))
}
