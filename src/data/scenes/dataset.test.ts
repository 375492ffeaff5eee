import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { UserError } from "../../core/errors.ts"
import { decodeImage } from "../../host/image/images.ts"
import { readShard, type Sample } from "../shards.ts"
import { renderSample, renderScenes } from "./dataset.ts"
import { sceneOf } from "./record.ts"
import { renderScene } from "./render.ts"
import { sampleScene } from "./scene.ts"

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "scenes-"))
})
afterAll(() => rm(folder, { recursive: true }))

const options = { seed: 3, counts: { train: 25, test: 8, retrieval: 8 }, samplesPerShard: 10 }

async function samplesOf(path: string): Promise<Sample[]> {
  const samples: Sample[] = []
  for await (const sample of readShard(path)) samples.push(sample)
  return samples
}

test("a picture has the same bytes on every run, in any order", async () => {
  const indices = [0, 1, 2, 3, 4, 5, 6, 7]
  const render = (index: number) => renderScene(sampleScene(1, "train", index))
  const together = await Promise.all(indices.map(render))
  for (const index of indices.reverse()) expect(Buffer.compare(together[index]!, await render(index))).toBe(0)
})

test("shards, samples and info", async () => {
  const out = join(folder, "whole")
  const progress: number[] = []
  const info = await renderScenes({ ...options, out, onProgress: (done) => progress.push(done) })
  expect(progress).toEqual(Array.from({ length: 41 }, (_, i) => i + 1))
  expect(await readdir(join(out, "train"))).toEqual(["00000.tar", "00001.tar", "00002.tar"])
  expect(info.splits.train).toEqual({ samples: 25, shards: ["00000.tar", "00001.tar", "00002.tar"] })
  expect(JSON.parse(await readFile(join(out, "info.json"), "utf8"))).toEqual(info)
  expect(info.tasks.map(({ name }) => name)).toEqual(["shape", "colour", "pattern", "count", "relation"])

  const samples = await samplesOf(join(out, "train/00002.tar"))
  expect(samples.map(({ key }) => key)).toEqual(["000020000", "000020001", "000020002", "000020003", "000020004"])
  const text = (name: string) => new TextDecoder().decode(samples[4]!.members.get(name))
  const scene = sceneOf(JSON.parse(text("json")), "sample 4")
  expect(scene).toMatchObject(sampleScene(3, "train", 24))
  expect(text("txt")).toBe(scene.web_caption)
  const image = await decodeImage(samples[4]!.members.get("jpg")!)
  expect([image.width, image.height]).toEqual([scene.width, scene.height])
})

test("a second run keeps complete shards, writes missing ones, and gives the same bytes", async () => {
  const out = join(folder, "resumed")
  await renderScenes({ ...options, out })
  const [kept, removed] = [join(out, "train/00000.tar"), join(out, "train/00001.tar")]
  const before = {
    kept: await stat(kept),
    removed: await readFile(removed),
    info: await readFile(join(out, "info.json")),
  }
  await rm(removed)
  // As macOS leaves it on a disk of another system.
  await writeFile(join(out, "train/._00000.tar"), "")
  await renderScenes({ ...options, out })
  expect((await stat(kept)).ino).toBe(before.kept.ino)
  expect(await readFile(removed)).toEqual(before.removed)
  expect(await readFile(join(out, "info.json"))).toEqual(before.info)
})

test("an abort leaves complete shards only, and the next run goes on", async () => {
  const out = join(folder, "aborted")
  const controller = new AbortController()
  const onProgress = (done: number) => done === 15 && controller.abort()
  await expect(renderScenes({ ...options, out, signal: controller.signal, onProgress })).rejects.toThrow("aborted")
  expect(await readdir(out, { recursive: true })).toEqual(["train", "train/00000.tar"])
  await renderScenes({ ...options, out })
  expect(await readFile(join(out, "train/00001.tar"))).toEqual(await readFile(join(folder, "whole/train/00001.tar")))
})

test.each([
  ["another seed", { seed: 4 }],
  ["a smaller count", { counts: { ...options.counts, train: 15 } }],
  ["a larger count", { counts: { ...options.counts, train: 28 } }],
  ["another shard size", { samplesPerShard: 5 }],
])("%s in the same folder is refused", async (_, change) => {
  const out = join(folder, "whole")
  await expect(renderScenes({ ...options, ...change, out })).rejects.toThrow("from a run with other options")
})

test("shards of somebody else are refused and kept", async () => {
  const out = await mkdtemp(join(folder, "foreign-"))
  await renderScenes({ ...options, out })
  const path = join(out, "train/00000.tar")
  await writeFile(path, "mine")
  await expect(renderScenes({ ...options, out })).rejects.toThrow(UserError)
  expect(await readFile(path, "utf8")).toBe("mine")
})

test("counts out of range are refused", async () => {
  const out = join(folder, "range")
  const counts = { ...options.counts, retrieval: 1_000_000 }
  await expect(renderScenes({ ...options, out, counts })).rejects.toThrow("from 1 to 82,944")
  await expect(renderScenes({ ...options, out, samplesPerShard: 0 })).rejects.toThrow("from 1 to 10,000")
})

test("a record of another version, and none, are named", async () => {
  const { members } = await renderSample("0", 1, "test", 0)
  const record = JSON.parse(new TextDecoder().decode(members.get("json")))
  expect(sceneOf(record, "0").split).toBe("test")
  expect(() => sceneOf({ ...record, version: 99 }, "0")).toThrow("0: a scene of version 99")
  expect(() => sceneOf(null, "0")).toThrow("0: no scene")
})
