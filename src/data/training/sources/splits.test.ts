import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { listFolder } from "./folder.ts"
import type { SampleList } from "./location.ts"
import { splitsOf } from "./splits.ts"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "splits-"))
})
afterEach(() => rmSync(folder, { recursive: true }))

function write(...paths: string[]): void {
  for (const path of paths) {
    mkdirSync(join(folder, path, ".."), { recursive: true })
    writeFileSync(join(folder, path), "")
  }
}

function samplesOf(list: SampleList): unknown[] {
  return Array.from({ length: list.count }, (_, i) => {
    const location = list.location(i)
    return location.kind === "file" ? [location.path.slice(folder.length + 1), location.captions] : null
  })
}

test.each([
  [["train/cat/1.jpg", "val/cat/2.jpg"], { names: ["train", "val"], train: "train", heldOut: "val" }],
  [
    ["Training/a/1.jpg", "Testing/a/b/1.jpg"],
    { names: ["Testing", "Training"], train: "Training", heldOut: "Testing" },
  ],
  [["test/a/1.jpg", "train/a/1.jpg", "valid/a/1.jpg"], { heldOut: "valid" }],
  [["train/a/1.jpg"], { names: ["train"], train: "train", heldOut: null }],
  [["val/a/1.jpg", "test/a/1.jpg"], { train: null, heldOut: "val" }],
  // A class may be called "train".
  [["train/1.jpg", "val/2.jpg"], null],
  [["train/a/1.jpg", "car/a/1.jpg"], null],
  [["train/a/1.jpg", "1.jpg"], null],
])("parts of %j", (pictures, expected) => {
  if (expected === null) expect(splitsOf(pictures)).toBeNull()
  else expect(splitsOf(pictures)).toMatchObject(expected)
})

test("the classes are in train/, val/ is held out, and both are said", async () => {
  write("train/hot_dog/1.jpg", "train/bun/2.jpg", "train/bun/deep/3.jpg", "val/bun/4.jpg", "test/bun/5.jpg")
  const list = await listFolder(folder, ["a {}"])
  expect(samplesOf(list)).toEqual([
    ["train/bun/2.jpg", ["a bun"]],
    ["train/bun/deep/3.jpg", ["a bun"]],
    ["train/hot_dog/1.jpg", ["a hot dog"]],
  ])
  expect(list.heldOut?.name).toBe("val")
  expect(samplesOf(list.heldOut!.samples)).toEqual([["val/bun/4.jpg", ["a bun"]]])
  expect(list.notes).toEqual([
    `${folder}: test/, train/ and val/ are taken for parts of the data, not for classes; train/ is trained on`,
  ])
})

test("without train/ an error says which folders there are", async () => {
  write("val/bun/4.jpg", "test/bun/5.jpg")
  await expect(listFolder(folder, ["a {}"])).rejects.toMatchObject({
    message: `${folder} holds test/ and val/ and no train/`,
    hint: expect.stringContaining(join(folder, "test")),
  })
})

test.each(["", "a/"])(
  "pictures with captions beside them are all trained on, which is said: train/%s",
  async (below) => {
    write(`train/${below}1.jpg`, `train/${below}1.txt`, `val/${below}2.jpg`, `val/${below}2.txt`)
    const list = await listFolder(folder, ["a {}"])
    expect([list.count, list.heldOut, list.notes]).toEqual([
      ...[2, undefined],
      [
        `${folder}: train/ and val/ are folders like any other, because pictures have captions beside them: all are trained on`,
      ],
    ])
  },
)

test("captions in folders that are not parts need no note", async () => {
  write("train/1.jpg", "train/1.txt", "cars/2.jpg", "cars/2.txt", "3.jpg", "3.txt")
  const list = await listFolder(folder, ["a {}"])
  expect([list.count, list.notes]).toEqual([3, []])
})
