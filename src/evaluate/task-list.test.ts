import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { openTasks } from "./task-list.ts"

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
