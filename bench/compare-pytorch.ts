/**
 * Step time of the quickstart model against the same step written for PyTorch (`pytorch/train_step.py`), on the same
 * libtorch, from the same weights, on the same batch:
 *
 *     export LIBTORCH=$(python3 -c "import os, torch; print(os.path.dirname(torch.__file__))")
 *     npm run build        # the addon, against Python's torch; unset LIBTORCH and build again to go back
 *     node dist/bench/compare-pytorch.js [--python python3] [--rounds 3] [--steps 20] [--batch 96] [--threads N]
 *                                        [--adamw default|foreach|fused] [--reinforced]
 *
 * Each round starts one process of each. Their steps take turns, and one process waits while the other works, because a shared
 * machine's speed changes by half within seconds. `--adamw` chooses PyTorch's implementation; its default on the processor
 * updates one tensor after the other. Fails when the first three losses differ, and when the median step takes more than 1.05
 * times PyTorch's.
 */
import { execFileSync, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { messageOf, UserError } from "../src/core/errors.ts"
import { version } from "../torch/index.ts"
import type { Start, StepTimes } from "./train-step.ts"

const maxRatio = 1.05
const maxLossDifference = 1e-4

const { values: options } = parseArgs({
  options: {
    python: { type: "string", default: "python3" },
    rounds: { type: "string", default: "3" },
    steps: { type: "string", default: "20" },
    batch: { type: "string", default: "96" },
    threads: { type: "string", default: String(availableParallelism()) },
    adamw: { type: "string", default: "default" },
    reinforced: { type: "boolean", default: false },
  },
})
const kind = options.reinforced ? ["--reinforced"] : []
const folder = mkdtempSync(join(tmpdir(), "mobileclip-bench-"))
const dump = join(folder, "dump.safetensors")
const nodeScript = fileURLToPath(new URL("train-step.js", import.meta.url))
const pythonScript = fileURLToPath(new URL("../../bench/pytorch/train_step.py", import.meta.url))
const env = { OMP_WAIT_POLICY: "PASSIVE", ...process.env }

async function main(): Promise<void> {
  checkVersions()
  run(process.execPath, [nodeScript, "--steps", "1", "--batch", options.batch, "--dump", dump, ...kind])
  const rounds: Round[] = []
  while (rounds.length < Number(options.rounds)) rounds.push(await round())
  const { ours, theirs } = rounds[0]!
  const steps = rounds.flatMap((each) => each.steps)
  const ratio = medianOf(steps, "ours", "total") / medianOf(steps, "theirs", "total")
  const difference = lossDifference(ours, theirs)

  console.log(`libtorch ${theirs.version}, ${ours.threads} threads, batch ${ours.batch}; medians in milliseconds`)
  console.log("              forward, backward    update      step    samples/s")
  console.log(row("mobileclip", steps, "ours"))
  console.log(row("PyTorch", steps, "theirs"))
  console.log(`ratio of medians ${ratio.toFixed(3)}, at most ${maxRatio}`)
  console.log(`ratios of ${steps.length} pairs of steps: ${quartiles(steps.map((s) => s.ours.total / s.theirs.total))}`)
  console.log(`losses ${text(ours.losses)}; PyTorch's ${text(theirs.losses)}: ${difference.toExponential(1)} apart`)
  if (ratio > maxRatio || difference > maxLossDifference) process.exitCode = 1
}

// -------------------------------------------------------------------------------------------------------- running

interface Pair<T> {
  readonly ours: T
  readonly theirs: T
}

interface Round extends Pair<Start> {
  readonly steps: readonly Pair<StepTimes>[]
}

async function round(): Promise<Round> {
  const threads = ["--threads", options.threads]
  const ours = start(process.execPath, [nodeScript, "--paced", "--batch", options.batch, ...threads, ...kind])
  const theirs = start(options.python, [pythonScript, dump, "--adamw", options.adamw, ...threads])
  try {
    const starts = { ours: await ours.line<Start>(), theirs: await theirs.line<Start>() }
    const steps: Pair<StepTimes>[] = []
    while (steps.length < Number(options.steps)) steps.push({ ours: await ours.step(), theirs: await theirs.step() })
    return { ...starts, steps }
  } finally {
    ours.end()
    theirs.end()
  }
}

/** A process that makes one step for every line it receives. */
function start(program: string, args: readonly string[]) {
  const child = spawn(program, args, { env, stdio: ["pipe", "pipe", "inherit"] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const line = async <T>(): Promise<T> => {
    const { value, done } = await lines.next()
    if (done) throw new UserError(`${program} ended early`, "its own message is above")
    return JSON.parse(value)
  }
  const step = () => {
    child.stdin.write("\n")
    return line<StepTimes>()
  }
  return { line, step, end: () => child.stdin.end() }
}

function checkVersions(): void {
  const theirs = run(options.python, [pythonScript, "--version"]).trim()
  // Debian's version text for 1.13.0 is 1.13.0a0.
  const release = (text: string) => text.split("+")[0]!.replace(/a0$/, "")
  if (release(version()) === release(theirs)) return
  throw new UserError(
    `the addon runs on libtorch ${version()}, ${options.python} on ${theirs}; they must be the same`,
    `LIBTORCH=$(${options.python} -c "import os, torch; print(os.path.dirname(torch.__file__))") npm run build`,
  )
}

function run(program: string, args: readonly string[]): string {
  try {
    return execFileSync(program, args, { encoding: "utf8", env, stdio: ["ignore", "pipe", "inherit"] })
  } catch (error) {
    throw new UserError(messageOf(error), "the comparison needs a Python with torch and numpy: --python")
  }
}

// ------------------------------------------------------------------------------------------------------- figures

/** The largest relative difference. */
function lossDifference(ours: Start, theirs: Start): number {
  return Math.max(...ours.losses.map((loss, i) => Math.abs(loss / theirs.losses[i]! - 1)))
}

function row(name: string, steps: readonly Pair<StepTimes>[], whose: keyof Pair<StepTimes>): string {
  const total = medianOf(steps, whose, "total")
  const samples = (1000 * Number(options.batch)) / total
  return [
    name.padEnd(10),
    medianOf(steps, whose, "gradients").toFixed(1).padStart(21),
    medianOf(steps, whose, "update").toFixed(1).padStart(10),
    total.toFixed(1).padStart(10),
    samples.toFixed(0).padStart(13),
  ].join("")
}

function medianOf(steps: readonly Pair<StepTimes>[], whose: keyof Pair<StepTimes>, part: keyof StepTimes): number {
  return quantile(
    steps.map((step) => step[whose][part]),
    0.5,
  )
}

function quartiles(values: readonly number[]): string {
  const [low, middle, high, min, max] = [0.25, 0.5, 0.75, 0, 1].map((q) => quantile(values, q).toFixed(3))
  return `median ${middle}, half of them in ${low} to ${high}, all in ${min} to ${max}`
}

function quantile(values: readonly number[], q: number): number {
  return values.toSorted((a, b) => a - b)[Math.round(q * (values.length - 1))]!
}

function text(losses: readonly number[]): string {
  return losses.map((loss) => loss.toFixed(6)).join(" ")
}

try {
  await main()
} catch (error) {
  if (!(error instanceof UserError)) throw error
  console.error(`error: ${error.message}\n  ${error.hint}`)
  process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}
