/**
 * Where the time of a training step goes, by kind of work, beside what the device can do at most:
 *
 *     node dist/bench/anatomy.js [--model NAME]... [--batch N] [--steps 10] [--threads N] [--reinforced]
 *         [--lengths short|varied] [--precision float32] [--device cpu] [--loader] [--rows] [--json]
 *         [--against CHECKOUT]
 *
 * Parts are shares of traced steps (torch/trace.ts), given in milliseconds of steps that are not traced, which alternate
 * with them; what the record of a call costs is measured, and taken off. A part's bound is the sum over its calls of the longer of two times: its operations at the rate of a large
 * matrix product, its bytes at the bandwidth of memory, both measured in the same run. `--help` says more.
 */
import { parseArgs } from "node:util"
import { messageOf, UserError } from "../src/core/errors.ts"
import type { Precision } from "../src/core/precision.ts"
import { checkDevice } from "../src/tensor/torch.ts"
import * as torch from "../torch/index.ts"
import { compare, comparisonText } from "./anatomy/against.ts"
import { type Anatomy, measureAnatomy, modelNames, modelOf } from "./anatomy/anatomy.ts"
import { measureBounds } from "./anatomy/bounds.ts"
import { measureLoading } from "./anatomy/loading.ts"
import { type Report, reportText } from "./anatomy/report.ts"
import { type CaptionLengths, captionLengths } from "./step/random-batch.ts"

const help = `Where the time of a training step goes, by kind of work, beside what the device can do at most.

  --model NAME       one of ${modelNames.join(", ")}, or of the family; may be repeated; default: all of these
  --batch N          default: that of the quickstart, or 8
  --steps N          steps that are timed, and as many that are traced (10)
  --threads N        default: libtorch's own
  --reinforced       two captions and two teachers
  --lengths NAME     short: captions of 12 tokens (default); varied: 8 to 77 tokens, most of them short
  --precision NAME   float32 (default), bfloat16, float16
  --device NAME      cpu (default), cuda, cuda:1
  --loader           also with data: how long a step waits, and what the loader's threads take beside it
  --rows             the calls that took longest, and all that the table of operators does not know
  --json             one line, with all rows
  --against FOLDER   another checkout, built, with this bench: before (that one) and after (this one), in turn
  --rounds N         with --against: processes of each (3)

  node dist/bench/anatomy.js --model quickstart-student --threads 2
  node dist/bench/anatomy.js --model mobileclip2-s0 --model mobileclip2-b --steps 3 --rows
  node dist/bench/anatomy.js --model quickstart-student --reinforced --against ../before
  node dist/bench/anatomy.js --model mobileclip2-b --device cuda --batch 256 --precision bfloat16
`

const { values: options, tokens } = parsed()

function parsed() {
  try {
    return parseArgs({
      tokens: true,
      options: {
        model: { type: "string", multiple: true, default: [] },
        batch: { type: "string" },
        steps: { type: "string", default: "10" },
        threads: { type: "string" },
        reinforced: { type: "boolean", default: false },
        lengths: { type: "string", default: "short" },
        precision: { type: "string", default: "float32" },
        device: { type: "string", default: "cpu" },
        loader: { type: "boolean", default: false },
        rows: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        against: { type: "string" },
        rounds: { type: "string", default: "3" },
        help: { type: "boolean", default: false },
      },
    })
  } catch (error) {
    console.error(`${messageOf(error).replaceAll("\n", " ")} (--help lists the options)`)
    process.exit(1)
  }
}

async function main(): Promise<void> {
  if (options.help) return console.log(help)
  if (options.against !== undefined) {
    const comparison = compare(options.against, passedOn(), atLeastOne("rounds"))
    return console.log(options.json ? JSON.stringify(comparison) : comparisonText(comparison))
  }
  const report = await measure()
  console.log(options.json ? JSON.stringify(report) : reportText(report, options.rows))
}

async function measure(): Promise<Report> {
  const precision = oneOf("precision", ["float32", "bfloat16", "float16"]) as Precision
  const lengths = oneOf("lengths", captionLengths) as CaptionLengths
  const threads = options.threads === undefined ? torch.threads() : atLeastOne("threads")
  checkDevice(options.device)
  const machine = { threads, precision, device: options.device as torch.Device }
  const { reinforced } = options
  const models = (options.model.length > 0 ? options.model : modelNames).map(modelOf)
  const steps = atLeastOne("steps")
  torch.setThreads(threads)
  const bounds = await measureBounds(machine)
  const anatomies: Anatomy[] = []
  for (const { model, batch: usual } of models) {
    const batch = options.batch === undefined ? usual : atLeastOne("batch")
    const settings = { ...machine, model, batch, steps, reinforced, lengths }
    const anatomy = measureAnatomy(settings, bounds)
    anatomies.push(options.loader ? { ...anatomy, loading: await measureLoading(settings) } : anatomy)
  }
  return { libtorch: torch.version(), device: options.device, threads, precision, bounds, anatomies }
}

/** What was given, but for what is only of the comparison. */
function passedOn(): string[] {
  return tokens.flatMap((token) => {
    if (token.kind !== "option" || ["against", "rounds", "json", "rows"].includes(token.name)) return []
    return token.value === undefined ? `--${token.name}` : `--${token.name}=${token.value}`
  })
}

function atLeastOne(name: "batch" | "steps" | "threads" | "rounds"): number {
  const value = Number(options[name])
  if (Number.isInteger(value) && value > 0) return value
  throw new UserError(`--${name} ${options[name]} is not a whole number of at least 1`, `try --${name} 8`)
}

function oneOf(name: "precision" | "lengths", names: readonly string[]): string {
  if (names.includes(options[name])) return options[name]
  throw new UserError(`--${name} ${options[name]} is not known`, `there are: ${names.join(", ")}`)
}

try {
  await main()
} catch (error) {
  if (!(error instanceof UserError)) throw error
  console.error(error.hint === undefined ? error.message : `${error.message}: ${error.hint}`)
  process.exitCode = 1
}
