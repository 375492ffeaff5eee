/** One report, however many processes read the shards. */
import { createHash } from "node:crypto"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { pictureSamples } from "../../../../test/training-samples.ts"
import { EnvironmentError } from "../../../core/errors.ts"
import { encodeSamples } from "../../../data/reinforced/encode.ts"
import type { ReinforcedSample } from "../../../data/reinforced/sample.ts"
import { defaultFormat } from "../../job/job.ts"
import { shardStats } from "../stats/stats.ts"
import { verifyShards } from "./verify.ts"

let folder: string
const output = () => join(folder, "out")

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "verify-"))
  mkdirSync(join(output(), "_done"), { recursive: true })
  const samples = await pictureSamples(15)
  // Eight that are sound tell how wide the teachers are.
  await write("0.tar", samples.slice(0, 8))
  await write("1.tar", [
    samples[8]!,
    long(samples[9]!),
    samples[1]!,
    { ...samples[10]!, paramAug: outside(samples[10]!) },
  ])
  await write("2.tar", [samples[8]!, samples[11]!], { sha256: "0".repeat(64), samples: 3 })
  await write("3.tar", samples.slice(12, 14))
  await write("4.tar", [noPicture(samples[14]!), samples[0]!])
  writeFileSync(join(output(), "3.tar"), "")
  writeFileSync(join(output(), "5.tar"), "of a job that was stopped")
  const line = { shard: "x", key: null, reason: "picture 7 is too small", action: "dropped" }
  writeFileSync(join(output(), "failures.jsonl"), `${JSON.stringify(line)}\n`)
})
afterAll(() => rmSync(folder, { recursive: true }))

async function write(name: string, samples: readonly ReinforcedSample[], recorded: object = {}): Promise<void> {
  const chunks: Uint8Array[] = []
  for await (const chunk of encodeSamples(samples, defaultFormat)) chunks.push(chunk)
  const bytes = Buffer.concat(chunks)
  const sha256 = createHash("sha256").update(bytes).digest("hex")
  writeFileSync(join(output(), name), bytes)
  const record = { samples: samples.length, sha256, bytes: bytes.length, models: "m", ...recorded }
  writeFileSync(join(output(), "_done", `${name}.json`), JSON.stringify(record))
}

/** With a vector of another length. */
function long(sample: ReinforcedSample): ReinforcedSample {
  const image = sample.embeddings.get("image_emb")!
  const values = image.values.map((value, i) => (i < 8 ? 2 * value : value))
  return { ...sample, embeddings: new Map([...sample.embeddings, ["image_emb", { ...image, values }]]) }
}

function outside({ paramAug }: ReinforcedSample): ReinforcedSample["paramAug"] {
  return paramAug!.map((view, i) => (i === 1 ? [[0, 0, 4000, 1], null] : view))
}

function noPicture(sample: ReinforcedSample): ReinforcedSample {
  return { ...sample, image: { extension: "jpg", bytes: Buffer.from("\xff\xd8\xff and nothing else", "latin1") } }
}

/** As they lie in the shards; a key that came before is told before what is wrong with its sample. */
const expected = [
  ["5.tar", null, "the folder has no record of it: its job was stopped"],
  ["1.tar", "s9", "image_emb: row 0 has the length 2.0000 in the part of teacher 0, and 1 was expected"],
  ["1.tar", "s1", "an earlier sample has the same key"],
  ["1.tar", "s10", /^view 1: the crop \[0, 0, 4000, 1\] is not inside the picture of/],
  ["2.tar", null, "its content is not what was recorded when it was complete (sha256)"],
  ["2.tar", "s8", "an earlier sample has the same key"],
  ["2.tar", null, "it holds 2 samples, and 3 were recorded"],
  ["3.tar", null, "its content is not what was recorded when it was complete (sha256)"],
  ["3.tar", null, /3\.tar is empty$/],
  ["4.tar", "s14", "its picture is not a picture, or its header is damaged"],
  ["4.tar", "s0", "an earlier sample has the same key"],
] as const

test.each([1, 2, 3])("%d processes find what one finds, in the order of the shards", async (workers) => {
  const shown: number[] = []
  const startProgress = () => ({ update: (done: number) => shown.push(done), done() {} })
  const report = await verifyShards(output(), { workers, samples: 0, startProgress })
  expect(report).toMatchObject({ shards: 5, samples: 16, recorded: 1, teacherWidths: [8, 8], recomputed: null })
  expect(report.problems.map(({ shard, key, reason }) => [shard, key, reason])).toEqual(
    expected.map(([shard, key, reason]) => [
      shard,
      key,
      reason instanceof RegExp ? expect.stringMatching(reason) : reason,
    ]),
  )
  expect(shown).toEqual([1, 2, 3, 4, 5])
})

test("statistics are those of one process, to the last digit", async () => {
  const one = await shardStats(output(), { workers: 1, samples: 5 })
  expect(one).toMatchObject({ shards: 5, samples: 16, agreement: { samples: 5 }, pictures: { formats: { jpg: 16 } } })
  expect(one.failures).toMatchObject({ "picture 7 is too small": 1, "its picture is not a picture, or its header is damaged": 1 }) // biome-ignore format: a pair
  for (const workers of [2, 3]) {
    const many = await shardStats(output(), { workers, samples: 5 })
    expect(JSON.stringify(many)).toBe(JSON.stringify(one))
  }
})

/** Lets the processes of `work` end themselves when they are given a shard of this name. */
async function killedBy<T>(name: string, kill: string, work: () => Promise<T>): Promise<T> {
  const preload = join(folder, "preload.mjs")
  writeFileSync(
    preload,
    `import { existsSync, writeFileSync } from "node:fs"
    const on = process.on
    process.on = (event, listener) => on.call(process, event, event !== "message" ? listener : (message) => {
      if (message.task?.input.endsWith(${JSON.stringify(name)})) { ${kill} }
      listener(message)
    })`,
  )
  const before = process.env.NODE_OPTIONS
  process.env.NODE_OPTIONS = `--import ${preload}`
  try {
    return await work()
  } finally {
    if (before === undefined) delete process.env.NODE_OPTIONS
    else process.env.NODE_OPTIONS = before
  }
}

const verifyInTwo = () => verifyShards(output(), { workers: 2, samples: 0 })

test("a process that is killed costs time and nothing else; where it is always the same shard, that is told", async () => {
  const mark = JSON.stringify(join(folder, "killed"))
  const once = `if (!existsSync(${mark})) { writeFileSync(${mark}, ""); process.kill(process.pid, "SIGKILL") }`
  const report = await killedBy("/2.tar", once, verifyInTwo)
  expect(report).toEqual(await verifyInTwo())
  const always = killedBy("/2.tar", `process.kill(process.pid, "SIGKILL")`, verifyInTwo)
  await expect(always).rejects.toThrow(/\/2\.tar: 3 worker processes died as they worked on it/)
})

test("a process that ends by itself is an error that names the shard", async () => {
  const error: unknown = await killedBy("/1.tar", "process.exit(7)", verifyInTwo).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(EnvironmentError)
  expect((error as Error).message).toBe("1.tar: a worker process ended with exit code 7")
})

test.each([1, 2])("of %d processes, an abort ends the work before the next shard is told", async (workers) => {
  const controller = new AbortController()
  const shown: number[] = []
  const startProgress = () => ({
    update(done: number) {
      shown.push(done)
      controller.abort(new Error("enough"))
    },
    done() {},
  })
  const options = { workers, samples: 0, signal: controller.signal, startProgress }
  await expect(verifyShards(output(), options)).rejects.toThrow("enough")
  expect(shown).toEqual([1])
})
