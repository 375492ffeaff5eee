/**
 * Step time of the quickstart model against the same step written for PyTorch (`pytorch/train_step.py`), on the same
 * libtorch, from the same weights, on the same batch:
 *
 *     export LIBTORCH=$(python3 -c "import os, torch; print(os.path.dirname(torch.__file__))")
 *     npm run build        # the addon, against Python's torch; unset LIBTORCH and build again to go back
 *     node dist/bench/compare-pytorch.js [--python python3] [--rounds 3] [--steps 20] [--batch 96] [--threads N]
 *                                        [--modes default,foreach,fused,compile,channels-last,compile-channels-last]
 *                                        [--reinforced]
 *
 * Each round starts one process of ours and one of every mode; their steps take turns, the others waiting while one works,
 * because a shared machine's speed changes by half within seconds. `--modes` says what PyTorch steps with: AdamW as it is by
 * default on the processor (one tensor after the other), foreach or fused (from 2.x on), and "compile": `torch.compile` for
 * forward and backward, with fused AdamW; "channels-last" and "compile-channels-last": with pictures and convolutions whose
 * channels are innermost as well. Fails when the first three losses differ, and when our median step takes more than
 * 1.05 times that of PyTorch's default.
 */
import { execFileSync, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { median, quantile } from "../src/core/arrays/quantile.ts"
import { messageOf, UserError } from "../src/core/errors.ts"
import { usableProcessors } from "../src/host/processors.ts"
import { version } from "../torch/index.ts"
import type { StepTimes } from "./step/timed-trainer.ts"
import type { Start } from "./train-step.ts"

const modeOptions = {
  default: [],
  foreach: ["--adamw", "foreach"],
  fused: ["--adamw", "fused"],
  compile: ["--adamw", "fused", "--compile"],
  "channels-last": ["--adamw", "fused", "--channels-last"],
  "compile-channels-last": ["--adamw", "fused", "--compile", "--channels-last"],
} as const
type Mode = keyof typeof modeOptions

const maxRatio = 1.05
const maxLossDifference = 1e-4

const { values: options } = parseArgs({
  options: {
    python: { type: "string", default: "python3" },
    rounds: { type: "string", default: "3" },
    steps: { type: "string", default: "20" },
    batch: { type: "string", default: "96" },
    threads: { type: "string", default: String(usableProcessors().count) },
    modes: { type: "string", default: "default" },
    reinforced: { type: "boolean", default: false },
  },
})
const kind = options.reinforced ? ["--reinforced"] : []
let modes: readonly Mode[] = []
const folder = mkdtempSync(join(tmpdir(), "mobileclip-bench-"))
const dump = join(folder, "dump.safetensors")
const nodeScript = fileURLToPath(new URL("train-step.js", import.meta.url))
/** Each side lets its threads wait as it does by default; this process has set ours. */
const { OMP_WAIT_POLICY: _, GOMP_SPINCOUNT: __, ...ownEnv } = process.env
const pythonScript = fileURLToPath(new URL("../../bench/pytorch/train_step.py", import.meta.url))

async function main(): Promise<void> {
  modes = options.modes.split(",").map(checkedMode)
  checkVersions()
  run(process.execPath, [nodeScript, "--steps", "1", "--batch", options.batch, "--dump", dump, ...kind])
  const rounds: Round[] = []
  while (rounds.length < Number(options.rounds)) rounds.push(await round())
  const { ours, theirs } = rounds[0]!
  const turns = rounds.flatMap(({ turns }) => turns)

  console.log(`libtorch ${theirs[0]!.version}, ${ours.threads} threads, batch ${ours.batch}; medians in milliseconds`)
  console.log(`ratios are ours to theirs; quartiles of ${turns.length} pairs of steps`)
  console.log(
    "                                   forward, backward    update      step    samples/s    ratio    of pairs",
  )
  const steps = turns.map((turn) => turn.ours)
  console.log(row("mobileclip", steps))
  const ratios = modes.map((mode, i) =>
    reportMode(
      mode,
      steps,
      turns.map(({ theirs }) => theirs[i]!),
    ),
  )
  const difference = Math.max(...theirs.map((start) => lossDifference(ours, start)))
  console.log(
    `losses ${text(ours.losses)}; PyTorch's ${text(theirs[0]!.losses)}: ${difference.toExponential(1)} apart at most`,
  )
  const bound = ratios[modes.indexOf("default")] ?? 0
  if (bound > maxRatio || difference > maxLossDifference) process.exitCode = 1
}

function reportMode(mode: string, ours: readonly StepTimes[], theirs: readonly StepTimes[]): number {
  const ratio = medianOf(ours, "total") / medianOf(theirs, "total")
  const pairs = ours.map((step, i) => step.total / theirs[i]!.total)
  const quartiles = [0.25, 0.5, 0.75].map((q) => quantile(pairs, q).toFixed(3)).join(" ")
  console.log(`${row(`PyTorch, ${mode}`, theirs)}${ratio.toFixed(3).padStart(9)}    ${quartiles}`)
  return ratio
}

// -------------------------------------------------------------------------------------------------------- running

/** Ours, and PyTorch's in the order of the modes. */
interface Turn<T> {
  readonly ours: T
  readonly theirs: readonly T[]
}

interface Round extends Turn<Start> {
  readonly turns: readonly Turn<StepTimes>[]
}

async function round(): Promise<Round> {
  const threads = ["--threads", options.threads]
  const ours = start(process.execPath, [nodeScript, "--paced", "--batch", options.batch, ...threads, ...kind])
  const theirs = modes.map((mode) => start(options.python, [pythonScript, dump, ...modeOptions[mode], ...threads]))
  const all = [ours, ...theirs]
  try {
    const starts: Start[] = []
    for (const each of all) starts.push(await each.line<Start>())
    const turns: Turn<StepTimes>[] = []
    while (turns.length < Number(options.steps)) turns.push(inTurn(await stepAll(all)))
    return { ...inTurn(starts), turns }
  } finally {
    for (const each of all) each.end()
  }
}

async function stepAll(all: readonly ReturnType<typeof start>[]): Promise<StepTimes[]> {
  const times: StepTimes[] = []
  for (const each of all) times.push(await each.step())
  return times
}

function inTurn<T>([ours, ...theirs]: readonly T[]): Turn<T> {
  return { ours: ours!, theirs }
}

/** A process that makes one step for every line it receives. */
function start(program: string, args: readonly string[]) {
  const child = spawn(program, args, { env: ownEnv, stdio: ["pipe", "pipe", "inherit"] })
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

function checkedMode(name: string): Mode {
  if (Object.hasOwn(modeOptions, name)) return name as Mode
  throw new UserError(`--modes ${name}: not a mode`, `choose from ${Object.keys(modeOptions).join(", ")}`)
}

function run(program: string, args: readonly string[]): string {
  try {
    return execFileSync(program, args, { encoding: "utf8", env: ownEnv, stdio: ["ignore", "pipe", "inherit"] })
  } catch (error) {
    throw new UserError(messageOf(error), "the comparison needs a Python with torch and numpy: --python")
  }
}

// ------------------------------------------------------------------------------------------------------- figures

/** The largest relative difference. */
function lossDifference(ours: Start, theirs: Start): number {
  return Math.max(...ours.losses.map((loss, i) => Math.abs(loss / theirs.losses[i]! - 1)))
}

function row(name: string, steps: readonly StepTimes[]): string {
  const total = medianOf(steps, "total")
  const samples = (1000 * Number(options.batch)) / total
  return [
    name.padEnd(31),
    medianOf(steps, "gradients").toFixed(1).padStart(21),
    medianOf(steps, "update").toFixed(1).padStart(10),
    total.toFixed(1).padStart(10),
    samples.toFixed(0).padStart(13),
  ].join("")
}

function medianOf(steps: readonly StepTimes[], part: keyof StepTimes): number {
  return median(steps.map((step) => step[part]))
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
