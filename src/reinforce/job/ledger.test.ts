import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { openStorage } from "../../data/stores/open.ts"
import type { Storage } from "../../data/stores/storage.ts"
import type { ShardResult } from "../runner.ts"
import { defaultFormat, defaultMinImageSize, type Job } from "./job.ts"
import { Ledger } from "./ledger.ts"
import { planShards } from "./plan.ts"
import { captionJob, embeddingJob } from "./stage-jobs.ts"

let folder: string
const storage = openStorage()

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ledger-"))
})
afterEach(() => rmSync(folder, { recursive: true }))

const jobOf = (stage: Job["stage"]): Job => ({
  ...{ stage, format: defaultFormat, seed: 0, minImageSize: defaultMinImageSize },
})
const embedding = (modelName: string) => jobOf(embeddingJob({ modelName }))
const tasksOf = (...inputs: string[]) => planShards(inputs, folder, defaultFormat)
const saved = () => JSON.parse(readFileSync(join(folder, "config.json"), "utf8")).job

/** As if the first shard had been made. */
async function make(ledger: Ledger, input: string): Promise<void> {
  const { output } = tasksOf(input)[0]!
  writeFileSync(output, "shard")
  const made = { samples: 1, problems: [], bytes: 5, sha256: "x", models: "m", seconds: 0 }
  await ledger.record({ index: 0, input, output, ...made } satisfies ShardResult)
}

test("a job that made nothing binds nobody, whatever else it was", async () => {
  const tasks = tasksOf("in/0.tar")
  await Ledger.open(storage, folder, embedding("models/worng"), tasks)
  await Ledger.open(storage, folder, embedding("models/wrong"), tasks)
  await Ledger.open(storage, folder, jobOf(captionJob({ modelName: "models/coca" })), tasksOf("in/0.tar", "in/1.tar"))
  expect(saved().stage).toMatchObject({ kind: "caption", modelName: "models/coca" })
  // What it left of a run in which every shard failed is not in the way.
  writeFileSync(join(folder, "failures.jsonl"), "")
  await Ledger.open(storage, folder, embedding("models/right"), tasks)
  expect(saved().stage.modelName).toBe("models/right")
  expect(readdirSync(folder).sort()).toEqual(["config.json", "failures.jsonl"])
})

test("one that made a shard does, and so does the folder's job those who work on one", async () => {
  const tasks = tasksOf("in/0.tar")
  const ledger = await Ledger.open(storage, folder, embedding("a"), tasks)
  const refusal = 'was begun with stage.modelName "a", and now it is "b"'
  await expect(Ledger.open(storage, folder, embedding("b"))).rejects.toThrow(refusal)
  await make(ledger, "in/0.tar")
  await expect(Ledger.open(storage, folder, embedding("b"), tasks)).rejects.toThrow(refusal)
  expect(saved().stage.modelName).toBe("a")
})

test("the same job told from another folder goes on", async () => {
  const tasks = tasksOf("in/0.tar")
  await make(await Ledger.open(storage, folder, embedding("models/a,b"), tasks), "in/0.tar")
  const elsewhere = [`../${basename(process.cwd())}/in/0.tar`, join(process.cwd(), "in/0.tar")]
  for (const [i, name] of ["../models/a,b", `${process.cwd()}/models/a, b`].entries()) {
    const ledger = await Ledger.open(storage, folder, embedding(name), tasksOf(elsewhere[i]!))
    expect((await ledger.completed(tasksOf(elsewhere[i]!))).size).toBe(1)
  }
  for (const name of ["models/b,b", "other/a,b", "models/a"])
    await expect(Ledger.open(storage, folder, embedding(name), tasks), name).rejects.toThrow("stage.modelName")
  expect(
    (await (await Ledger.open(storage, folder, embedding("models/a,b"))).completed(tasksOf("into/0.tar"))).size,
  ).toBe(0)
})

test.each([
  ["in/0.tar", "../in/0.tar"],
  ["train/0.tar", "v2/train/0.tar"],
  ["v2/train/0.tar", "train/0.tar"],
  ["s3://a/train/0.tar", "train/0.tar"],
  ["train/0.tar", "s3://a/train/0.tar"],
])("the shard of %s is not that of %s", async (before, now) => {
  const ledger = await Ledger.open(storage, folder, embedding("a"), tasksOf(before))
  await make(ledger, before)
  expect((await ledger.completed(tasksOf(before))).size).toBe(1)
  expect((await ledger.completed(tasksOf(now))).size).toBe(0)
})

test("records name files by absolute paths, and earlier ones count for the file that their path leads to", async () => {
  const ledger = await Ledger.open(storage, folder, embedding("a"), tasksOf("in/0.tar"))
  await make(ledger, "in/0.tar")
  const record = join(folder, "_done", "0.tar.json")
  const saved = JSON.parse(readFileSync(record, "utf8"))
  expect(saved.input).toBe(join(process.cwd(), "in/0.tar"))
  expect((await ledger.completed(tasksOf("in/0.tar"))).get(0)?.input).toBe("in/0.tar")
  writeFileSync(record, JSON.stringify({ ...saved, input: "in/0.tar" }))
  for (const [input, size] of [
    ["in/0.tar", 1],
    ["./in/0.tar", 1],
    [join(process.cwd(), "in/0.tar"), 1],
    ["/elsewhere/in/0.tar", 0],
    ["../in/0.tar", 0],
  ] as const)
    expect((await ledger.completed(tasksOf(input))).size, input).toBe(size)
})

test("in a store, where nobody knows who works there, a job that made nothing stays", async () => {
  const place = "s3://bucket/out"
  const files = new Map<string, Uint8Array>()
  const store = {
    ...{ readBytes: async (url: string) => files.get(url) ?? null, list: async () => [] },
    put: async (url: string, chunks: Iterable<Uint8Array>) => void files.set(url, Buffer.concat([...chunks])),
  } as unknown as Storage
  const tasks = planShards(["in/0.tar"], place, defaultFormat)
  await Ledger.open(store, place, embedding("a"), tasks)
  const begun = files.get(`${place}/config.json`)
  for (const queue of [undefined, { name: "embed-1", server: "s" }])
    await expect(Ledger.open(store, place, embedding("b"), tasks, queue)).rejects.toThrow('stage.modelName "a"')
  expect(files.get(`${place}/config.json`)).toBe(begun)
  await Ledger.open(store, place, embedding("a"), tasks)
})

test("a job of a server gives way to one that the same queue has accepted, and to no other", async () => {
  const tasks = tasksOf("in/0.tar")
  await Ledger.open(storage, folder, embedding("a"), tasks)
  // Gone on with on a server.
  await Ledger.open(storage, folder, embedding("a"), tasks, { name: "first", server: "here" })
  for (const queue of [undefined, { name: "second", server: "here" }, { name: "first", server: "elsewhere" }])
    await expect(Ledger.open(storage, folder, embedding("b"), tasks, queue)).rejects.toThrow('stage.modelName "a"')
  expect(saved().stage.modelName).toBe("a")
  // Before a connection, nobody knows which server it is.
  await Ledger.check(storage, folder, embedding("b"), tasks, { name: "first" })
  expect(saved().stage.modelName).toBe("a")
  await Ledger.open(storage, folder, embedding("b"), tasks, { name: "first", server: "here" })
  expect(saved().stage.modelName).toBe("b")
})

test("a shard without its record, of a job that gives way, is said to be maybe that job's", async () => {
  const tasks = tasksOf("in/0.tar")
  await Ledger.open(storage, folder, embedding("a"), tasks)
  writeFileSync(join(folder, "0.tar"), "shard")
  await expect(Ledger.open(storage, folder, embedding("b"), tasks)).rejects.toMatchObject({
    message: `${join(folder, "0.tar")} is there already, and nothing records that it is complete: the job that was begun there may have been stopped while it wrote it`,
    hint: "remove it if it is that job's, or choose another --output",
  })
  rmSync(join(folder, "0.tar"))
  await Ledger.open(storage, folder, embedding("b"), tasks)
  expect(saved().stage.modelName).toBe("b")
})

test("files that no job wrote are not replaced, by a first job or a second one", async () => {
  writeFileSync(join(folder, "0.tar"), "mine")
  await expect(Ledger.open(storage, folder, embedding("a"), tasksOf("in/0.tar"))).rejects.toThrow("is there already")
  await Ledger.open(storage, folder, embedding("a"), tasksOf("in/1.tar"))
  await expect(Ledger.open(storage, folder, embedding("b"), tasksOf("in/0.tar"))).rejects.toThrow("is there already")
  mkdirSync(join(folder, "more"))
  expect(saved().stage.modelName).toBe("a")
})
