/**
 * Step time of the quickstart model against the same step written for PyTorch (`pytorch/train_step.py`), on the same
 * libtorch: short processes of the two in turn, from the same weights, on the same batch.
 *
 *     export LIBTORCH=$(python3 -c "import os, torch; print(os.path.dirname(torch.__file__))")
 *     npm run build        # the addon, against Python's torch; unset LIBTORCH and build again to go back
 *     node dist/bench/compare-pytorch.js [--python python3] [--rounds 5] [--steps 10] [--batch 96] [--threads N]
 *                                        [--adamw default|foreach|fused]
 *
 * `--adamw` is PyTorch's implementation; its default on the processor is one tensor after the other. Fails when the
 * first three losses differ, and when our step takes more than 1.05 times PyTorch's.
 */
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { messageOf, UserError } from "../src/core/errors.ts"
import { version } from "../torch/index.ts"
import type { StepTimes } from "./train-step.ts"

const maxRatio = 1.05
const maxLossDifference = 1e-4

const { values: options } = parseArgs({
  options: {
    python: { type: "string", default: "python3" },
    rounds: { type: "string", default: "5" },
    steps: { type: "string", default: "10" },
    batch: { type: "string", default: "96" },
    threads: { type: "string", default: String(availableParallelism()) },
    adamw: { type: "string", default: "default" },
  },
})
const folder = mkdtempSync(join(tmpdir(), "mobileclip-bench-"))
const dump = join(folder, "dump.safetensors")
const common = ["--steps", options.steps, "--threads", options.threads]
const node = fileURLToPath(new URL("train-step.js", import.meta.url))
const python = fileURLToPath(new URL("../../bench/pytorch/train_step.py", import.meta.url))

function main(): void {
  checkVersions()
  timesOf(process.execPath, [node, "--json", "--steps", "1", "--batch", options.batch, "--dump", dump])
  const rounds = Array.from({ length: Number(options.rounds) }, () => ({
    ours: timesOf(process.execPath, [node, "--json", ...common, "--batch", options.batch]),
    theirs: timesOf(options.python, [python, dump, ...common, "--adamw", options.adamw]),
  }))
  const [ours, theirs] = [rounds.map((round) => round.ours), rounds.map((round) => round.theirs)]
  const ratio = medianOf(ours, "total") / medianOf(theirs, "total")
  const pairs = rounds.map((round) => round.ours.total / round.theirs.total).sort((a, b) => a - b)
  const difference = lossDifference(ours[0]!, theirs[0]!)

  const { batch, threads } = ours[0]!
  console.log(`libtorch ${theirs[0]!.version}, ${threads} threads, batch ${batch}; medians in milliseconds`)
  console.log("              forward, backward    update      step    samples/s")
  console.log(row("mobileclip", ours))
  console.log(row("PyTorch", theirs))
  console.log(`ratio of medians ${ratio.toFixed(3)}, at most ${maxRatio}`)
  console.log(`ratios of ${pairs.length} pairs: ${summary(pairs)}`)
  console.log(`losses ${lossesOf(ours[0]!)}; PyTorch's ${lossesOf(theirs[0]!)}: ${difference.toExponential(1)} apart`)
  if (ratio > maxRatio || difference > maxLossDifference) process.exitCode = 1
}

/** Which code runs is decided when the addon is built, so this is all that could differ. */
function checkVersions(): void {
  const theirs = run(options.python, [python, "--version"]).trim()
  const release = (text: string) => text.split("+")[0]
  if (release(version()) === release(theirs)) return
  throw new UserError(
    `the addon runs on libtorch ${version()}, ${options.python} on ${theirs}; they must be the same`,
    `LIBTORCH=$(${options.python} -c "import os, torch; print(os.path.dirname(torch.__file__))") npm run build`,
  )
}

function timesOf(program: string, args: readonly string[]): StepTimes {
  return JSON.parse(run(program, args))
}

function run(program: string, args: readonly string[]): string {
  const env = { OMP_WAIT_POLICY: "PASSIVE", ...process.env }
  try {
    return execFileSync(program, args, { encoding: "utf8", env, stdio: ["ignore", "pipe", "inherit"] })
  } catch (error) {
    throw new UserError(`${program} failed: ${messageOf(error)}`, "PyTorch and numpy are needed: see --python")
  }
}

/** The largest relative difference. */
function lossDifference(ours: StepTimes, theirs: StepTimes): number {
  return Math.max(...ours.losses.map((loss, i) => Math.abs(loss / theirs.losses[i]! - 1)))
}

function row(name: string, runs: readonly StepTimes[]): string {
  const total = medianOf(runs, "total")
  const numbers = [medianOf(runs, "gradients"), medianOf(runs, "update"), total].map((time) => time.toFixed(1))
  const [gradients, update, step] = numbers as [string, string, string]
  const samples = ((1000 * runs[0]!.batch) / total).toFixed(0)
  return `${name.padEnd(10)}${gradients.padStart(21)}${update.padStart(10)}${step.padStart(10)}${samples.padStart(13)}`
}

function lossesOf({ losses }: StepTimes): string {
  return losses.map((loss) => loss.toFixed(6)).join(" ")
}

function summary(sorted: readonly number[]): string {
  const [min, middle, max] = [sorted[0]!, median(sorted), sorted.at(-1)!].map((ratio) => ratio.toFixed(3))
  return `median ${middle}, ${min} to ${max}`
}

function medianOf(runs: readonly StepTimes[], part: "gradients" | "update" | "total"): number {
  return median(runs.map((times) => times[part]))
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!
}

try {
  main()
} catch (error) {
  if (!(error instanceof UserError)) throw error
  console.error(`error: ${error.message}\n  ${error.hint}`)
  process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}
