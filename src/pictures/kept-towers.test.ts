import { rmSync } from "node:fs"
import { setTimeout as wait } from "node:timers/promises"
import { afterAll, expect, test } from "vitest"
import { tinyConfig, tinyInfo } from "../../test/tiny-model.ts"
import { writeTower } from "../benchmark/latency/generated.ts"
import { temporaryFolder } from "../host/files/temporary.ts"
import { KeptTowers } from "./kept-towers.ts"

const { path: directory } = temporaryFolder("kept-towers")
afterAll(() => rmSync(directory, { recursive: true, force: true }))
await writeTower(tinyConfig, "image", directory, "vision_model.onnx", { dtype: "fp32" })

const { preprocessing } = tinyInfo
const { embedDim } = tinyConfig
const names = { input: "pixel_values", output: "image_embeds" }
const place = { directory, file: "vision_model.onnx", names, imageSize: preprocessing.size }
const settings = (batchSize = 1) => ({ towers: [{ place, preprocessing, embedDim }], batchSize, options: {} })

test("the next use has the same threads; other settings have others, at once or beside those that are in use", async () => {
  await using kept = new KeptTowers()
  const first = kept.use(settings(), 2)
  const beside = kept.use(settings(2), 2)
  expect(beside.pool).not.toBe(first.pool)
  await beside[Symbol.asyncDispose]()
  await first[Symbol.asyncDispose]()
  const again = kept.use(settings(), 2)
  expect(again.pool).toBe(first.pool)
  await again[Symbol.asyncDispose]()
  await using other = kept.use(settings(), 1)
  expect(other.pool).not.toBe(first.pool)
})

test("threads that nobody uses end; those in use do not", async () => {
  const kept = new KeptTowers(20)
  const used = kept.use(settings(), 1)
  await wait(60)
  expect(kept.isOpen).toBe(true)
  await used[Symbol.asyncDispose]()
  await expect.poll(() => kept.isOpen).toBe(false)
  const later = kept.use(settings(), 1)
  expect(later.pool).not.toBe(used.pool)
  await later[Symbol.asyncDispose]()
  await kept[Symbol.asyncDispose]()
  expect(kept.isOpen).toBe(false)
})
