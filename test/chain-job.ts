/** What the chains of data generation have in common: shards of JPEGs, a teacher, one undisturbed process to compare with. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { readSamples } from "../src/data/reinforced/read.ts"
import { renderSample } from "../src/data/scenes/dataset.ts"
import { type Sample, writeShard } from "../src/data/shards.ts"
import { exportModel } from "../src/export/export.ts"
import { makeDirectory } from "../src/host/files/files.ts"
import { closed, ended, type StartOptions, startProgram } from "./program.ts"
import { tinyInfo, tinyModel } from "./tiny-model.ts"

export interface ChainSize {
  readonly shards: number
  readonly samplesPerShard: number
  /** How many of each picture. */
  readonly views: number
}

/** Writes `in/` and `teacher/` into the folder -> the keys of all samples. */
export async function prepare(folder: string, { shards, samplesPerShard }: ChainSize): Promise<string[]> {
  await exportModel(tinyModel(), { ...tinyInfo, name: "tiny" }, join(folder, "teacher"))
  await makeDirectory(join(folder, "in"))
  const keys: string[] = []
  for (let shard = 0; shard < shards; shard++) {
    const samples: Sample[] = []
    for (let i = 0; i < samplesPerShard; i++) {
      const key = `${String(shard).padStart(4, "0")}${String(i).padStart(4, "0")}`
      samples.push(await renderSample(key, 1, "train", keys.length % 200))
      keys.push(key)
    }
    await writeShard(join(folder, "in", `${String(shard).padStart(8, "0")}.tar`), samples)
  }
  return keys
}

interface StagePaths {
  readonly input: string
  readonly output: string
  readonly teacher: string
}

export function stageOptions({ input, output, teacher }: StagePaths, views: number): string[] {
  return [
    ...["--input", input, "--output", output, "--model-name", teacher],
    ...["--num-samples", String(views), "--bfloat16", "--progress", "none", "--json"],
  ]
}

/** `single/` as one process makes it, that nobody disturbs -> seconds. */
export async function reference(folder: string, views: number): Promise<number> {
  const started = performance.now()
  const at = (name: string) => join(folder, name)
  const stage = stageOptions({ input: at("in"), output: at("single"), teacher: at("teacher") }, views)
  const code = await ended(startProgram(["reinforce", "embed", ...stage, "--workers", "1", "--threads", "1"]))
  if (code !== 0) throw new Error(`the single process ended with ${code}`)
  return (performance.now() - started) / 1000
}

/** A parked shard, or whatever else was parked: its record as the status gives it. */
export type ParkedRecord = Readonly<Record<string, unknown>>

interface Status {
  readonly done: number
  readonly parked: readonly ParkedRecord[]
}

/** What `reinforce status` says. */
export async function statusOf(nats: readonly string[], options: StartOptions = {}): Promise<Status> {
  const child = startProgram(["reinforce", "status", ...nats, "--json"], { ...options, stdout: "pipe" })
  let text = ""
  child.stdout!.on("data", (chunk) => {
    text += chunk
  })
  await closed(child)
  return JSON.parse(text)
}

export interface Comparison {
  readonly samples: number
  /** Keys that are missing or there more than once. */
  readonly wrongKeys: readonly string[]
  /** Files that differ from those of the single process. */
  readonly different: readonly string[]
}

/** `many/` with `single/`. */
export async function compare(folder: string, keys: readonly string[]): Promise<Comparison> {
  const [single, many] = [join(folder, "single"), join(folder, "many")]
  const names = new Set([...shardsIn(single), ...shardsIn(many)])
  const different = [...names].filter((name) => !equal(join(single, name), join(many, name)))
  const seen = new Map<string, number>()
  let samples = 0
  for (const name of shardsIn(many)) {
    for await (const { key } of readSamples(join(many, name), () => {})) {
      seen.set(key, (seen.get(key) ?? 0) + 1)
      samples++
    }
  }
  const leftovers = existsSync(many) ? readdirSync(many).filter((name) => name.endsWith(".tmp")) : []
  return { samples, wrongKeys: keys.filter((key) => seen.get(key) !== 1), different: [...different, ...leftovers] }
}

export function shardsIn(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter((name) => name.endsWith(".tar"))
    .sort()
}

function equal(a: string, b: string): boolean {
  try {
    return readFileSync(a).equals(readFileSync(b))
  } catch {
    return false
  }
}
