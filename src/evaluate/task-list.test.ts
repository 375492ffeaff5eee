import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import sharp from "sharp"
import { afterEach, beforeEach, expect, test } from "vitest"
import { Random } from "../core/arrays/random.ts"
import type { Image8 } from "../core/image/pixels.ts"
import { renderScenes } from "../data/scenes/dataset.ts"
import { decodeImage } from "../host/image/images.ts"
import { imageVectors } from "./encode.ts"
import { readScenes, scoreTasks } from "./scenes.ts"
import { openTasks } from "./task-list.ts"
import { zeroShot } from "./tasks.ts"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tasks-"))
})
afterEach(() => rmSync(folder, { recursive: true }))

function write(...paths: string[]): void {
  for (const path of paths) {
    mkdirSync(join(folder, path, ".."), { recursive: true })
    writeFileSync(join(folder, path), "")
  }
}

test("hidden folders and a link to the folder itself are not classes", async () => {
  write("cat/1.jpg", "dog.jpg/2.jfif", ".ipynb_checkpoints/1.jpg", "._0.tar")
  symlinkSync(folder, join(folder, "self"))
  const { chance } = await openTasks(folder)
  expect(Object.values(chance)).toEqual([1 / 2])
})

test("what is passed over is said, for a list of tasks as well", async () => {
  write("a/cat/1.jpg", "a/cat/2.bmp", "a/dog/1.jpg", "b/x/1.jpg", "b/y/1.jpg")
  writeFileSync(join(folder, "tasks.json"), JSON.stringify(["a", "b"].map((name) => ({ name, images: name }))))
  const { notes } = await openTasks(join(folder, "tasks.json"))
  expect(notes).toEqual([expect.stringContaining("a: passed over 1 file of other kinds (1 .bmp)")])
})

test("of a folder with train/ and val/ the task is val/", async () => {
  write("train/cat/1.jpg", "train/dog/1.jpg", "val/cat/2.jpg", "val/dog/2.jpg", "val/owl/2.jpg", "val/cat/3.bmp")
  const { chance, notes } = await openTasks(folder)
  expect(Object.values(chance)).toEqual([1 / 3])
  expect(notes).toEqual([
    `${folder}: train/ and val/ are taken for parts of the data, not for classes; val/ is the task`,
    expect.stringContaining("1 .bmp"),
  ])
})

test("classes that no model can tell apart are named", async () => {
  write("Cat/1.jpg", "dog/2.jpg", "cat/3.jpg")
  const { notes } = await openTasks(folder)
  expect(notes).toEqual([expect.stringMatching(/: labels 1 \("Cat"\), 2 \("cat"\) are the same to the model/)])
})

test("a task list in UTF-16, and one in other bytes", async () => {
  write("a/cat/1.jpg", "a/dog/2.jpg")
  const list = '[{"name": "café",\n "images": "a"}]'
  writeFileSync(join(folder, "tasks.json"), Buffer.from(`\ufeff${list}`, "utf16le"))
  expect((await openTasks(join(folder, "tasks.json"))).chance).toEqual({ café: 1 / 2 })
  writeFileSync(join(folder, "tasks.json"), Buffer.from(`\n${list}`, "latin1"))
  await expect(openTasks(join(folder, "tasks.json"))).rejects.toThrow("tasks.json, line 2 is not UTF-8")
})

test("a class without pictures is an error that names what is there instead", async () => {
  write("cat/1.jpg", "dog/2.bmp")
  await expect(openTasks(folder)).rejects.toMatchObject({
    message: `${join(folder, "dog")} holds no pictures`,
    hint: expect.stringContaining("1 .bmp"),
  })
})

/** Vectors of mean colours, and of what a text's letters make. Notes how many pictures each call has. */
function fakeEncoder() {
  const batches: number[] = []
  const mean = ({ data, width, height }: Image8, c: number) => {
    let sum = 0
    for (let i = c; i < data.length; i += 3) sum += data[i]!
    return sum / (width * height) - 100
  }
  return {
    batches,
    embedDim: 3,
    async encodeImages(images: readonly Image8[]) {
      batches.push(images.length)
      return Float32Array.from(images.flatMap((image) => [0, 1, 2].map((c) => mean(image, c))))
    },
    async encodeTexts(texts: readonly string[]) {
      return Float32Array.from(texts.flatMap((text) => [0, 1, 2].map((c) => Random.of(c, text).normal())))
    },
  }
}

test("pictures are scored a batch at a time, as all at once, each time the list is", async () => {
  const names = ["cat", "dog", "owl"]
  const random = new Random(5)
  for (const name of names) mkdirSync(join(folder, name))
  const files = Array.from({ length: 70 }, (_, i) => join(folder, names[i % 3]!, `${String(i).padStart(2, "0")}.png`))
  for (const file of files) {
    const background = { r: random.int(256), g: random.int(256), b: random.int(256) }
    await sharp({ create: { width: 2, height: 2, channels: 3, background } }).toFile(file)
  }
  const encoder = fakeEncoder()
  const tasks = await openTasks(folder)
  const scores = await tasks.score(encoder)
  expect(encoder.batches).toEqual([64, 6])
  const sorted = files.toSorted()
  const images = await imageVectors(encoder, await Promise.all(sorted.map((file) => decodeImage(file))))
  const labels = sorted.map((file) => names.findIndex((name) => file.includes(`/${name}/`)))
  const task = { kind: "classes", name: "", classNames: names, templates: ["a photo of a {}."], labels } as const
  const { accuracy } = await zeroShot(encoder, task, images)
  expect(accuracy).toBeGreaterThan(0)
  expect(Object.values(scores)).toEqual([accuracy])
  expect(await tasks.score(encoder)).toEqual(scores)
})

test("the scenes dataset is scored as it is when its pictures are in memory", async () => {
  await renderScenes({ out: join(folder, "scenes"), counts: { train: 1, test: 5, retrieval: 1 }, samplesPerShard: 3 })
  const split = join(folder, "scenes", "test")
  const tasks = await openTasks(split)
  const expected = await scoreTasks(fakeEncoder(), await readScenes(split), () => {})
  const scores = Object.fromEntries(expected.map(({ name, accuracy }) => [name, accuracy]))
  expect(await tasks.score(fakeEncoder())).toEqual(scores)
  expect(await tasks.score(fakeEncoder())).toEqual(scores)
})
