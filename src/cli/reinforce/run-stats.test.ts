/** Counting by workers of a server says what one process says, and goes on where it was stopped. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { writeDamagedShards } from "../../../test/damaged-shards.ts"
import { NatsServer } from "../../../test/nats-server.ts"
import { joinJob } from "../../reinforce/distributed/fleet.ts"
import { statsOnWorkers } from "../../reinforce/distributed/look-on-workers.ts"
import { natsSettings } from "../../reinforce/distributed/server/nats-settings.ts"
import { shardStats } from "../../reinforce/tools/stats/stats.ts"
import { publishStats, type RunStatsOptions } from "./distributed.ts"

let server: NatsServer
let folder: string
const at = (...names: string[]) => join(folder, ...names)
const never = new AbortController().signal
const sheet = { rows: 3, views: 2, size: 32 }
beforeAll(async () => {
  server = await NatsServer.start()
  folder = mkdtempSync(join(tmpdir(), "run-stats-"))
  await writeDamagedShards(at("out"))
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

const options = (): RunStatsOptions => ({
  ...{ input: [at("out")], output: at("counts"), nats: server.url, job: "counts", samples: 4, seed: 1, tagSuffix: "" },
  ...{ contactSheet: at("on-workers.png"), ...sheet, progress: "none", json: true },
  ...{ maxTries: 2, stallTimeout: 60, ackWait: 5 },
})

test("report and sheet are those of one process, and a second time nothing is counted again", async () => {
  const printed: string[] = []
  const output = { writeOut: (text: string) => printed.push(text), writeErr() {} }
  const worker = joinJob(await natsSettings(server.url, {}), { job: "counts", workers: 2 })
  await publishStats(options(), never, output)
  const contactSheet = { file: at("here.png"), ...sheet }
  const report = await shardStats(at("out"), { workers: 1, samples: 4, seed: 1, contactSheet })
  expect(printed).toEqual([`${JSON.stringify(report, null, 2)}\n`])
  expect(report).toMatchObject({ shards: 5, samples: 16, failures: { [`${at("out", "3.tar")} is empty`]: 1 } })
  expect(readFileSync(at("on-workers.png")).equals(readFileSync(at("here.png")))).toBe(true)
  expect(await worker).toMatchObject({ done: 5, failed: 0, parked: 0 })
  const times = () => readdirSync(at("counts", "_done")).map((name) => statSync(at("counts", "_done", name)).mtimeMs)
  const before = times()
  // No worker is there.
  await publishStats(options(), never, output)
  expect(printed[1]).toBe(printed[0])
  expect(times()).toEqual(before)
})

test("counting that was stopped goes on: with the shards that are left, by another worker", async () => {
  const nats = await natsSettings(server.url, {})
  const [leaving, stopping] = [new AbortController(), new AbortController()]
  const run = (signal: AbortSignal) => statsOnWorkers(nats, at("out"), at("again"), { name: "again", signal })
  const stopped = run(stopping.signal).catch((error: Error) => error.message)
  const first = await joinJob(nats, { job: "again", signal: leaving.signal, onEvent: () => leaving.abort() })
  stopping.abort(new Error("stopped"))
  expect(await stopped).toBe("stopped")
  expect(first!.done).toBeGreaterThan(0)
  expect(first!.done).toBeLessThan(5)
  const second = joinJob(nats, { job: "again" })
  expect(JSON.stringify(await run(never))).toBe(JSON.stringify(await shardStats(at("out"), { workers: 1 })))
  expect((await second)!.done).toBe(5 - first!.done)
})

test("a shard whose counts cannot be written is a failure with the reason, and damaged counts are not believed", async () => {
  mkdirSync(at("counted", "3.jsonl"), { recursive: true })
  const nats = await natsSettings(server.url, {})
  const worker = joinJob(nats, { job: "holes" })
  const { failures, samples } = await statsOnWorkers(nats, at("out"), at("counted"), { name: "holes", maxTries: 1 })
  expect(await worker).toMatchObject({ done: 4, parked: 1 })
  expect(samples).toBe(16)
  expect(Object.keys(failures)).toContainEqual(expect.stringMatching(/^parked after 1 tries: .*3\.jsonl/))
  const file = at("counted", "1.jsonl")
  writeFileSync(file, "x".repeat(statSync(file).size))
  await expect(statsOnWorkers(nats, at("out"), at("counted"), { name: "holes" })).rejects.toThrow(`${file} is damaged`)
})
