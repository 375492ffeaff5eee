import { readdir, rm } from "node:fs/promises"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { pictureSample, temporaryFolder, writeSamples } from "../../../test/training-samples.ts"
import { replayViews } from "./replay.ts"

let folder: string
beforeAll(async () => {
  folder = await temporaryFolder()
})
afterAll(() => rm(folder, { recursive: true }))

test("each key has files of its own: ids of 19 digits, and keys that only differ in what a file's name cannot have", async () => {
  const keys = ["3791411052119578800", "3791411052119578801", "a/b", "a b", "a_b"]
  const samples = await Promise.all(keys.map((key) => pictureSample(key)))
  const shard = await writeSamples(join(folder, "shard.tar"), samples)
  const output = join(folder, "views")
  expect(await replayViews(shard, { output, size: 8 })).toEqual({ samples: 5, views: 15, problems: [] })
  const names = (await readdir(output)).filter((name) => name.endsWith(".jpg")).sort()
  expect(names).toEqual(["3791411052119578800.jpg", "3791411052119578801.jpg", "a_b-2.jpg", "a_b-3.jpg", "a_b.jpg"])
})
