/** What a run on workers makes of entries that no worker wrote. */
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { NatsServer } from "../../../test/nats-server.ts"
import { dial, quick, quickWorker, runnerOf, until } from "../../../test/queue.ts"
import { datacompdrAugmentation } from "../../data/augment/config.ts"
import { openStorage } from "../../data/stores/open.ts"
import type { Job } from "../job/job.ts"
import { Ledger } from "../job/ledger.ts"
import { planShards } from "../job/plan.ts"
import { embeddingJob } from "../job/stage-jobs.ts"
import { recording, removeFromServer, retryOnServer, runOnWorkers, statusOnServer } from "./fleet.ts"
import { publishJob } from "./publish.ts"
import { natsSettings } from "./server/nats-settings.ts"
import { findJob, readJob } from "./server/queued-job.ts"
import { serverId } from "./server/server-id.ts"
import { jobStatus } from "./status.ts"
import { runWorker } from "./worker/worker.ts"

let server: NatsServer
let folder: string
beforeAll(async () => {
  server = await NatsServer.start()
  folder = await mkdtemp(join(tmpdir(), "fleet-"))
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

const { randomResizedCrop, randAugment } = datacompdrAugmentation
const job: Job = {
  stage: embeddingJob({
    modelName: "models/a",
    augmentation: { augmentation: { randomResizedCrop, randAugment }, normalize: null },
  }),
  format: { output: "webdataset", embeddings: "npz", textEmbeddings: "separate", images: true },
  ...{ seed: 0, minImageSize: 16 },
}

test("a completion that no worker wrote is noted, and the record beside the output counts", async () => {
  const output = join(folder, "out")
  const tasks = planShards(["in/0.tar", "in/1.tar", "in/2.tar"], output, job.format)
  const connection = await dial(server)
  const spec = JSON.parse(JSON.stringify(job))
  const { job: queued } = await publishJob(connection, { name: "forged", spec, output, tasks, ...quick })
  const forged = { ...{ samples: 1, dropped: 0, problems: [], bytes: 1, sha256: "x", seconds: 1 }, at: 0 }
  await queued.done.put("0", JSON.stringify({ ...tasks[0], ...forged, models: "evil", worker: "evil" }))
  const storage = openStorage()
  const ledger = await Ledger.open(storage, output, job)
  const runner = runnerOf(async (task) => {
    const written = await storage.put(task.output, [Buffer.from(`shard ${task.index}`)])
    const result = { ...task, samples: 10, problems: [], ...written, models: "m", seconds: 1 }
    await ledger.record(result)
    return result
  })
  await runWorker(queued, runner, quickWorker)
  const notes: string[] = []
  const options = { name: "forged", onNote: (line: string) => notes.push(line) }
  const outcome = await runOnWorkers(await natsSettings(server.url, {}), job, output, tasks, options)
  expect(outcome.results.map(({ index, models }) => [index, models])).toEqual([0, 1, 2].map((index) => [index, "m"]))
  expect(notes).toContain('the server says that shard 0 is made by "evil"; the record beside the output counts')
  expect(notes.filter((line) => line.includes("counts"))).toHaveLength(1)
  expect((await readFile(join(output, "manifest.jsonl"), "utf8")).trim().split("\n")).toHaveLength(3)
  await connection.close()

  const nats = await natsSettings(server.url, {})
  expect(await statusOnServer(nats)).toMatchObject({ job: "forged", shards: 3, done: 3, parked: [] })
  expect(await retryOnServer(nats, "forged")).toEqual({ job: "forged", queued: 0, forgotten: 0 })
  await expect(statusOnServer(nats, "another")).rejects.toThrow("there is no job named another on the server")
  expect(await removeFromServer(nats)).toBe("forged")
  await expect(statusOnServer(nats)).rejects.toThrow("there is no job on the server")
})

test("a job that workers are at work on keeps its folder", async () => {
  const output = join(folder, "busy")
  const tasks = planShards(["in/0.tar"], output, job.format)
  const nats = await natsSettings(server.url, {})
  const connection = await dial(server)
  const config = () => readFile(join(output, "config.json"), "utf8")
  const leaving = new AbortController()
  const begun = runOnWorkers(nats, job, output, tasks, { name: "busy", signal: leaving.signal })
  await until(async () => (await findJob(connection, "busy")) !== null)
  const queued = (await findJob(connection, "busy"))!
  await until(async () => (await readJob(queued)) !== null)
  leaving.abort(new Error("left"))
  await expect(begun).rejects.toThrow("left")

  let [isAtWork, finish] = [false, () => {}]
  const finished = new Promise<void>((resolve) => {
    finish = resolve
  })
  const runner = runnerOf(async () => {
    isAtWork = true
    await finished
    return {}
  })
  const worker = runWorker(queued, runner, quickWorker)
  await until(async () => isAtWork && (await jobStatus(queued)).workers.length > 0)
  const before = await config()
  const other: Job = { ...job, seed: 1 }
  await expect(runOnWorkers(nats, other, output, tasks, { name: "busy" })).rejects.toThrow("seed is 0 there and 1 here")
  await expect(runOnWorkers(nats, other, output, tasks, { name: "idle" })).rejects.toThrow("was begun with seed 0")
  expect(await config()).toBe(before)
  finish()
  await worker
  await removeFromServer(nats, "busy")
  await connection.close()
})

test("jobs of one name on two servers are two: what was begun on one does not give way to the other's", async () => {
  await using second = await NatsServer.start()
  const output = join(folder, "shared")
  const tasks = planShards(["in/0.tar"], output, job.format)
  const [here, there] = await Promise.all([server, second].map(({ url }) => natsSettings(url, {})))
  const config = () => readFile(join(output, "config.json"), "utf8")
  /** Until the folder is this job's. */
  const begin = async (nats: typeof here, wanted: Job) => {
    const leaving = new AbortController()
    const run = runOnWorkers(nats!, wanted, output, tasks, { name: "same", signal: leaving.signal })
    const ended = run.catch((error: Error) => error.message)
    const isBegun = async () => JSON.parse(await config().catch(() => "{}")).job?.seed === wanted.seed
    await Promise.race([ended, until(isBegun)])
    leaving.abort(new Error("left"))
    return ended
  }
  expect(await begin(here, job)).toBe("left")
  const before = await config()
  const other: Job = { ...job, seed: 1 }
  expect(await begin(there, other)).toContain("was begun with seed 0, and now it is 1")
  expect(await config()).toBe(before)
  const connection = await dial(server)
  const id = await serverId(connection)
  expect(JSON.parse(before)).toMatchObject({ queue: "same", server: id })
  await connection.close()
  // The server itself is known again after it was started again.
  await server.kill()
  await server.restart()
  expect(await begin(here, other)).toBe("left")
  expect(JSON.parse(await config())).toMatchObject({ job: { seed: 1 }, server: id })
  await removeFromServer(here!, "same")
})

test("a result that is not accepted leaves neither an output nor a record, but what was recorded before stays", async () => {
  const folder = await mkdtemp(join(tmpdir(), "mobileclip-fleet-"))
  const storage = openStorage()
  const files = async () => (await storage.list(folder)).filter((name) => name !== "config.json")
  const pool = runnerOf(async ({ output }) => storage.put(output, [Buffer.from("made")]))
  const runner = await recording(pool, job, folder)
  const task = { index: 0, input: "in/0.tar", output: join(folder, "0.tar") }

  const refused = await runner.run(task)
  expect(await files()).toEqual(["0.tar"])
  await runner.discard!(refused)
  expect(await files()).toEqual([])

  const accepted = await runner.run(task)
  await runner.record!(accepted)
  await runner.discard!(accepted)
  expect(await files()).toEqual(["0.tar", "_done/0.tar.json"])
  await runner.discard!({ ...accepted, sha256: "of other models" })
  expect(await files()).toEqual(["_done/0.tar.json"])
  await rm(folder, { recursive: true })
})
