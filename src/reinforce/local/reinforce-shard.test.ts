/** A shard that comes from a slow place, and goes to one, under the watch that abandons what stands still. */
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises"
import { createServer, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, expect, test } from "vitest"
import { openStorage } from "../../data/stores/open.ts"
import type { Chunks, Storage, TransferOptions } from "../../data/stores/storage.ts"
import { Watchdog } from "../distributed/worker/watchdog.ts"
import type { AnyJob } from "../job/job.ts"
import { Ledger } from "../job/ledger.ts"
import { embeddingJob } from "../job/stage-jobs.ts"
import type { Stage } from "../stages/stage.ts"
import { reinforceShard } from "./reinforce-shard.ts"

const lines = Buffer.from(["a", "b", "c"].map((uid) => `${JSON.stringify({ uid, text: "a star" })}\n`).join(""))
const stallSeconds = 1
const dripMilliseconds = 120

let folder: string
let server: Server
let address: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "shard-"))
  server = createServer((request, response) => void (request.url === "/silent" ? begin(response) : drip(response)))
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  await rm(folder, { recursive: true })
})

function begin(response: ServerResponse): void {
  response.writeHead(200, { "Content-Length": lines.length }).write(lines.subarray(0, 10))
}

async function drip(response: ServerResponse): Promise<void> {
  response.writeHead(200, { "Content-Length": lines.length })
  for (let start = 0; start < lines.length; start += 5) {
    response.write(lines.subarray(start, start + 5))
    await sleep(dripMilliseconds)
  }
  response.end()
}

const format = { output: "jsonl", embeddings: "npz", textEmbeddings: "separate", images: true } as const

const job: AnyJob = {
  stage: embeddingJob({ modelName: "models/a" }),
  format,
  ...{ seed: 0, minImageSize: 16 },
}

const stage: Stage = {
  identity: "none",
  async *run(samples) {
    yield* samples
  },
  async [Symbol.asyncDispose]() {},
}

/** Takes what is written at once, and then as long as it says. */
function slowToWrite(put: (options: TransferOptions) => Promise<void>): Storage {
  return {
    ...openStorage({ temporaryFolder: folder, retryDelays: [] }),
    async put(_: string, chunks: Chunks, options: TransferOptions = {}) {
      let bytes = 0
      for await (const chunk of chunks) bytes += chunk.length
      await put(options)
      return { bytes, sha256: "of the test" }
    },
  }
}

async function watched(input: string, storage: Storage) {
  using watchdog = new Watchdog(stallSeconds)
  const task = { index: 0, input, output: join(folder, "out.jsonl") }
  const work = { storage, ledger: { folder, async record() {} }, stage, format }
  const options = { signal: watchdog.signal, onProgress: watchdog.progress, onActivity: watchdog.activity }
  const started = performance.now()
  const result = await reinforceShard(task, work, options)
  return { samples: result.samples, seconds: (performance.now() - started) / 1000 }
}

test("a store that drips, and takes the output slowly, is waited for as long as bytes move", async () => {
  const storage = slowToWrite(async ({ signal, onBytes }) => {
    for (let i = 0; i < 16; i++) {
      await sleep(dripMilliseconds, undefined, { signal: signal! })
      onBytes!(1)
    }
  })
  const { samples, seconds } = await watched(`${address}/drips`, storage)
  expect(samples).toBe(3)
  // Each of the two takes longer than nothing may happen.
  expect(seconds).toBeGreaterThan(3 * stallSeconds)
})

test("a store that falls silent is abandoned, as it sends and as it takes", async () => {
  const storage = slowToWrite(({ signal }) => sleep(60_000, undefined, { signal: signal! }))
  for (const input of [`${address}/silent`, `${address}/drips`]) {
    await expect(watched(input, storage)).rejects.toThrow(/no progress for 1 seconds|aborted/)
  }
  expect(await readdir(folder)).toEqual([])
})

test("neither a shard nor its record follows a link out of the output, and nothing outside is removed", async () => {
  const at = (...names: string[]) => join(folder, "links", ...names)
  const output = at("out")
  for (const name of ["out", "victim", "out/_done"]) await mkdir(at(name), { recursive: true })
  await symlink("../victim", at("out", "link"))
  await symlink("../../victim", at("out", "_done", "records"))
  await writeFile(at("victim", "keep.jsonl"), "precious")
  await writeFile(at("full.jsonl"), lines)
  const storage = openStorage()
  const ledger = await Ledger.open(storage, output, job)
  const make = (name: string, by = stage) =>
    reinforceShard(
      { index: 0, input: at("full.jsonl"), output: `${output}/${name}` },
      { storage, ledger, stage: by, format },
    )
  await expect(make("link/keep.jsonl")).rejects.toThrow("a link leads to")
  await expect(make("link/keep.jsonl", { ...stage, async *run() {} })).rejects.toThrow("a link leads to")
  await expect(make("records/0.jsonl")).rejects.toThrow("a link leads to")
  await expect(make("../victim/keep.jsonl")).rejects.toThrow("could be outside")
  expect(await readdir(at("victim"))).toEqual(["keep.jsonl"])
  expect(await readFile(at("victim", "keep.jsonl"), "utf8")).toBe("precious")
  await rm(at(), { recursive: true })
})
