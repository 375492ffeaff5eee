import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { openStorage } from "../../data/stores/open.ts"
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
  const elsewhere = ["../in/0.tar", join(process.cwd(), "in/0.tar")]
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

test("files that no job wrote are not replaced, by a first job or a second one", async () => {
  writeFileSync(join(folder, "0.tar"), "mine")
  await expect(Ledger.open(storage, folder, embedding("a"), tasksOf("in/0.tar"))).rejects.toThrow("is there already")
  await Ledger.open(storage, folder, embedding("a"), tasksOf("in/1.tar"))
  await expect(Ledger.open(storage, folder, embedding("b"), tasksOf("in/0.tar"))).rejects.toThrow("is there already")
  mkdirSync(join(folder, "more"))
  expect(saved().stage.modelName).toBe("a")
})
