/** One report, however many processes read the shards. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { damages, writeDamagedShards } from "../../../../test/damaged-shards.ts"
import { EnvironmentError } from "../../../core/errors.ts"
import { shardStats } from "../stats/stats.ts"
import { verifyShards } from "./verify.ts"

let folder: string
const output = () => join(folder, "out")

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "verify-"))
  await writeDamagedShards(output())
})
afterAll(() => rmSync(folder, { recursive: true }))

test.each([1, 2, 3])("%d processes find what one finds, in the order of the shards", async (workers) => {
  const shown: number[] = []
  const startProgress = () => ({ update: (done: number) => shown.push(done), done() {} })
  const report = await verifyShards(output(), { workers, samples: 0, startProgress })
  expect(report).toMatchObject({ shards: 5, samples: 16, recorded: 1, teacherWidths: [8, 8], recomputed: null })
  expect(report.problems.map(({ shard, key, reason }) => [shard, key, reason])).toEqual(
    damages.map(([shard, key, reason]) => [
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

test("a shard whose 100,000 keys all came before is told of in time that grows with their number", async () => {
  const secondsOf = async (count: number) => {
    const lines = Array.from({ length: count }, (_, i) => `{"id":${i},"text":"a"}\n`).join("")
    const shards = ["0.jsonl", "1.jsonl"].map((name) => join(folder, name))
    for (const shard of shards) writeFileSync(shard, lines)
    const begun = process.cpuUsage()
    const { problems } = await verifyShards(shards, { samples: 0, workers: 1 })
    const seconds = process.cpuUsage(begun).user / 1e6
    expect(problems.map(({ key }) => key)).toEqual(Array.from({ length: count }, (_, i) => String(i)))
    return seconds
  }
  const some = await secondsOf(20_000)
  // On any processor. 3 s measured, five times the other; 12 s where each problem is put in its place by a search, thirteen times.
  expect(await secondsOf(100_000)).toBeLessThan(8 * some)
})
