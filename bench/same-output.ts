/**
 * Whether another checkout, built too, writes the same bytes: each command is run in both on the same inputs, in a folder of
 * its own, and every file that it leaves is compared. Exit code 1 where one differs or is missing.
 *
 *     node dist/bench/same-output.js ../other-checkout
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { parseArgs } from "node:util"
import { messageOf } from "../src/core/errors.ts"
import { type Contents, contentsOf, type Differing } from "../test/folder-contents.ts"
import { ended, program, startNode } from "../test/program.ts"
import { writeCheckpoint } from "../test/tiny-model.ts"

interface Compared extends Differing {
  readonly args: readonly string[]
  /** The folder it writes. */
  readonly out: string
}

const times = { files: [], keys: ["seconds", "time_seconds", "total_time_h"] }
const logs = {
  files: [/^report\.html$/, /(?<=tensorboard\/)events\.[^/]*$/],
  keys: ["seconds", "dataSeconds", "memory", "samplesPerSecond"],
}
const counts = ["--train", "96", "--test", "16", "--retrieval", "16", "--samples-per-shard", "48"]
const training = [
  ...["--model", "quickstart", "--threads", "1", "--progress", "none"],
  ...["batch.size=16", "schedule.steps=60", "schedule.warmup=6", "save.every=30"],
]
const distillation = ["--dataset-reinforcement", "loss.kind=distill", "loss.teacherScales=[70]"]

const everything = { files: [], keys: [] }
const render: Compared = {
  args: ["render", "--out", "scenes", ...counts, "--progress", "none"],
  ...{ out: "scenes", ...everything },
}
const embed: Compared = {
  args: [
    ...["reinforce", "embed", "--input", "scenes/train", "--output", "reinforced", "--model-name", "tiny.safetensors"],
    ...["--num-samples", "3", "--workers", "1", "--threads", "1", "--progress", "none"],
  ],
  ...{ out: "reinforced", ...times },
}
const commands: Readonly<Record<string, Compared>> = {
  render,
  convert: { args: ["convert", "tiny.safetensors", "--out", "model"], out: "model", ...everything },
  "reinforce embed": embed,
  train: { args: ["train", "--train-data", "scenes/train", "--out", "plain", ...training], out: "plain", ...logs },
  "train, reinforced": {
    args: ["train", "--train-data", "reinforced", "--out", "distilled", ...training, ...distillation],
    ...{ out: "distilled", ...logs },
  },
}

const [other] = parseArgs({ allowPositionals: true }).positionals
const theirs = other && join(resolve(other), "bin/mobileclip.js")
if (!theirs || !existsSync(theirs)) {
  console.error(
    "usage: node dist/bench/same-output.js OTHER_CHECKOUT\n  OTHER_CHECKOUT  has been built: `npm run build`",
  )
  process.exit(2)
}
const folder = mkdtempSync(join(tmpdir(), "same-output-"))
try {
  await writeInputs()
  console.log(row(["command", "files", "same", "different"]))
  const differences: string[] = []
  for (const [name, command] of Object.entries(commands)) differences.push(...(await compare(name, command)))
  console.log(differences.length === 0 ? "the same bytes" : `DIFFERENT:\n${differences.join("\n")}`)
  process.exitCode = differences.length === 0 ? 0 : 1
} catch (error) {
  console.error(`same-output: ${messageOf(error)}`)
  process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** Made by this checkout, for both. */
async function writeInputs(): Promise<void> {
  const inputs = join(folder, "inputs")
  mkdirSync(inputs)
  writeCheckpoint(join(inputs, "tiny.safetensors"))
  for (const { args } of [render, embed]) await run(program, args, inputs)
}

/** The files that differ. */
async function compare(name: string, command: Compared): Promise<string[]> {
  const [ours, others] = [await outputOf(program, command), await outputOf(theirs as string, command)]
  const names = [...new Set([...ours.keys(), ...others.keys()])].sort()
  const different = names.filter((path) => ours.get(path) !== others.get(path))
  console.log(row([name, names.length, names.length - different.length, different.length]))
  const left = [...command.files.map(({ source }) => source), ...command.keys.map((key) => `"${key}" in JSON`)]
  if (left.length > 0) console.log(`  not compared: ${left.join(", ")}`)
  return different.map((path) => `${name}: ${command.out}/${path}`)
}

/** What the command leaves in a folder in which nothing but its inputs is. */
async function outputOf(script: string, { args, out, ...differing }: Compared): Promise<Contents> {
  const work = join(folder, "work")
  cpSync(join(folder, "inputs"), work, { recursive: true, filter: (path) => path !== join(folder, "inputs", out) })
  try {
    await run(script, args, work)
    return contentsOf(join(work, out), differing)
  } finally {
    rmSync(work, { recursive: true })
  }
}

async function run(script: string, args: readonly string[], cwd: string): Promise<void> {
  const code = await ended(startNode([script, ...args], { cwd }))
  if (code !== 0) throw new Error(`${script} ${args.join(" ")} ended with ${code}`)
}

function row([first, ...cells]: readonly (string | number)[]): string {
  return String(first).padEnd(20) + cells.map((cell) => String(cell).padStart(10)).join("")
}
