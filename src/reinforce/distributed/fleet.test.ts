/** What a pool has made is recorded when its worker accepts it, and taken away when it does not. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { runnerOf } from "../../../test/queue.ts"
import { openStorage } from "../../data/stores/open.ts"
import { defaultFormat, type Job } from "../job.ts"
import { embeddingJob } from "../stage-jobs.ts"
import { recording } from "./fleet.ts"

const job: Job = { stage: embeddingJob({ modelName: "m" }), format: defaultFormat, seed: 0, minImageSize: 16 }

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
