import { mkdtemp, readdir, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { tinyCoca, tinyCocaConfig, tinyCocaInfo } from "../../../test/tiny-coca.ts"
import { writeCheckpoint } from "../../../test/tiny-model.ts"
import { renderScenes } from "../../data/scenes/dataset.ts"
import { reinforce } from "./reinforcement.ts"

const folder = await mkdtemp(join(tmpdir(), "mobileclip-reinforcement-"))
afterAll(() => rm(folder, { recursive: true, force: true }))

test("an interruption of the captions ends the run as one, and begins no embeddings", { timeout: 60_000 }, async () => {
  await renderScenes({ out: join(folder, "scenes"), counts: { train: 4, test: 1, retrieval: 1 }, samplesPerShard: 2 })
  const stop = new AbortController()
  const stages: string[] = []
  const startProgress = (label: string) => {
    stages.push(label)
    stop.abort()
    return { update() {}, done() {} }
  }
  const context = { out: folder, seed: 0, threads: 2, startProgress, say() {}, signal: stop.signal }
  const recipe = { captions: 1, generationType: "greedy", views: 1, cropScale: [0.5, 1] } as const
  const info = { ...tinyCocaInfo, config: tinyCocaConfig }
  const captioner = writeCheckpoint(join(folder, "captioner.safetensors"), tinyCoca(), info)
  const models = { captioner, teachers: ["nowhere"] }
  const stopped = reinforce(join(folder, "scenes/train"), models, recipe, context)
  await expect(stopped).rejects.toMatchObject({ name: "AbortError" })
  expect(stages).toEqual(["caption"])
  expect(await readdir(folder)).not.toContain("reinforced")
})
