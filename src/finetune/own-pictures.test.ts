import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { holdOut } from "./hold-out.ts"
import { classesOf, classNamesOf, joined, readOwnPictures } from "./own-pictures.ts"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "own-pictures-"))
})
afterEach(() => rmSync(folder, { recursive: true }))

function write(name: string, text = ""): void {
  mkdirSync(join(folder, name, ".."), { recursive: true })
  writeFileSync(join(folder, name), text)
}

test("class folders: names with spaces, prompts from templates", async () => {
  for (let i = 0; i < 6; i++) for (const name of ["hot_dog", "bun"]) write(`${name}/${i}.jpg`)
  const own = await readOwnPictures(folder)
  expect(own.classes).toEqual({ names: ["bun", "hot dog"], templates: ["a photo of a {}."] })
  expect(own.pictures.map(classesOf(own.classes!))).toEqual([...Array(6).fill(0), ...Array(6).fill(1)])
})

test("a folder with train/ and val/ says itself what is held out", async () => {
  for (let i = 0; i < 6; i++) for (const name of ["cat", "dog"]) write(`train/${name}/${i}.jpg`)
  for (const name of ["cat/6", "cat/7", "owl/8", "owl/9"]) write(`val/${name}.jpg`)
  const own = await readOwnPictures(folder)
  expect(own.classes!.names).toEqual(["cat", "dog", "owl"])
  expect(own.notes).toEqual([
    expect.stringContaining("train/ is trained on"),
    `${join(folder, "val")} is what is held out`,
  ])
  const { train, heldOut } = holdOut(own, { share: 0.5, seed: 1, most: 1000 })
  expect(train.map(({ path }) => path.slice(folder.length))).toEqual(
    ["cat", "dog"].flatMap((name) => Array.from({ length: 6 }, (_, i) => `/train/${name}/${i}.jpg`)),
  )
  expect(heldOut).toEqual(own.heldOut)
  expect(heldOut.map(({ captions }) => captions)).toEqual([["cat"], ["cat"], ["owl"], ["owl"]])
  const few = holdOut(own, { share: 0.5, seed: 1, most: 2 })
  expect(few.train).toEqual(train)
  expect(few.heldOut.map(({ captions }) => captions)).toEqual([["cat"], ["owl"]])
})

test("hidden names, a folder's link to itself, pipes and other files are left out", async () => {
  for (let i = 0; i < 6; i++) for (const name of ["hot_dog", "bun"]) write(`${name}/${i}.jpg`)
  for (const name of ["._a.jpg", ".ipynb_checkpoints/a.jpg", "bun/x.bmp"]) write(name)
  symlinkSync(folder, join(folder, "self"))
  execFileSync("mkfifo", [join(folder, "bun", "pipe.jpg")])
  const own = await readOwnPictures(folder)
  expect([own.pictures.length, own.classes!.names]).toEqual([12, ["bun", "hot dog"]])
  expect(own.notes).toEqual([expect.stringContaining("1 .bmp")])
})

test("classes that no model can tell apart are named", async () => {
  for (let i = 0; i < 6; i++) for (const name of ["Bun", "bun"]) write(`${name}/${i}.jpg`)
  const own = await readOwnPictures(folder)
  expect(own.notes).toEqual([expect.stringMatching(/^labels 1 \("Bun"\), 2 \("bun"\) are the same to the model/)])
})

test("a caption file that is not UTF-8 is refused with its line", async () => {
  for (let i = 0; i < 12; i++) write(`${i}.jpg`)
  for (let i = 0; i < 12; i++) write(`${i}.txt`, `picture ${i}`)
  writeFileSync(join(folder, "3.txt"), Buffer.from("one\ncaf\xe9", "latin1"))
  await expect(readOwnPictures(folder)).rejects.toThrow("3.txt, line 2 is not UTF-8")
})

test("captions beside pictures, a line each; pictures without one are left out and counted", async () => {
  for (let i = 0; i < 11; i++) write(`${i}.png`)
  for (let i = 0; i < 10; i++) write(`${i}.txt`, `picture ${i}\n\n another of ${i} \n`)
  const own = await readOwnPictures(folder)
  expect(own).toMatchObject({ classes: null, withoutCaption: 1 })
  expect(own.pictures).toHaveLength(10)
  expect(own.pictures[0]!.captions).toEqual(["picture 0", "another of 0"])
})

test("too few captions and too few pictures have different messages", async () => {
  for (let i = 0; i < 12; i++) write(`${i}.png`)
  write("3.txt", "one")
  await expect(readOwnPictures(folder)).rejects.toThrow("1 pictures with a caption, of 12")
})

test("a picture in very many rows takes time by its rows", () => {
  const rows = Array.from({ length: 60_000 }, (_, i) => ({ path: "a.jpg", captions: [`caption ${i}`] }))
  const [one, ...others] = joined(rows)
  expect(others).toEqual([])
  expect(one!.captions).toEqual(rows.map(({ captions }) => captions[0]))
})

test("names of classes are looked through once, not for each picture", () => {
  const names = Array.from({ length: 100 }, (_, i) => `class ${i}`)
  let looks = 0
  const counted = new Proxy(names, {
    get(target, name, receiver) {
      if (typeof name === "string" && /^\d+$/.test(name)) looks++
      return Reflect.get(target, name, receiver)
    },
  })
  const pictures = Array.from({ length: 1000 }, (_, i) => ({ path: `${i}.jpg`, captions: [names[i % 100]!] }))
  const classes = { names: counted, templates: ["{}"] }
  const { heldOut } = holdOut({ pictures, classes }, { share: 0.2, seed: 1, most: 1000 })
  expect(heldOut).toHaveLength(200)
  expect(looks).toBeLessThan(1000)
})

test("rows of one picture are one picture with several captions", () => {
  const row = (path: string, caption: string) => ({ path, captions: [caption] })
  expect(joined([row("a", "one"), row("b", "two"), row("a", "three"), row("a", "one")])).toEqual([
    { path: "a", captions: ["one", "three"] },
    { path: "b", captions: ["two"] },
  ])
})

test("captions that many pictures share are classes", () => {
  const pictures = (...captions: string[]) => captions.map((caption, i) => ({ path: String(i), captions: [caption] }))
  const repeated = Array.from({ length: 8 }, (_, i) => (i % 2 ? "dog" : "cat"))
  expect(classNamesOf(pictures(...repeated))).toEqual(["cat", "dog"])
  expect(classNamesOf(pictures(...repeated.slice(0, 7)))).toBeNull()
  expect(classNamesOf([...pictures(...repeated), { path: "x", captions: ["cat", "a cat"] }])).toBeNull()
})

test("every class is held out in its share, and keeps pictures to learn from", () => {
  const of = (name: string, count: number) =>
    Array.from({ length: count }, (_, i) => ({ path: `${name}${i}`, captions: [name] }))
  const own = {
    pictures: [...of("a", 20), ...of("b", 10), ...of("c", 2), ...of("d", 1)],
    classes: { names: ["a", "b", "c", "d"], templates: [] },
  }
  const options = { share: 0.2, seed: 1, most: 1000 }
  const { train, heldOut } = holdOut(own, options)
  const count = (name: string) => heldOut.filter(({ captions }) => captions[0] === name).length
  expect(["a", "b", "c", "d"].map(count)).toEqual([4, 2, 1, 0])
  expect(new Set([...train, ...heldOut])).toEqual(new Set(own.pictures))
  expect(holdOut(own, options)).toEqual({ train, heldOut })
  expect(holdOut(own, { ...options, seed: 2 }).heldOut).not.toEqual(heldOut)
  expect(holdOut({ ...own, classes: null }, { ...options, share: 0.01 }).heldOut).toHaveLength(2)
  expect(holdOut({ ...own, classes: null }, { ...options, most: 3 }).heldOut).toHaveLength(3)
})

test("a signal ends the reading of a list in the middle of its rows", async () => {
  write("list.csv", `filepath,title\n${Array.from({ length: 500 }, (_, i) => `${i}.jpg,text ${i}\n`).join("")}`)
  const stop = new AbortController()
  let now = 0
  const clock = vi.spyOn(performance, "now").mockImplementation(() => (now += 2000))
  setImmediate(() => stop.abort())
  const reading = readOwnPictures(join(folder, "list.csv"), { signal: stop.signal })
  await expect(reading.finally(() => clock.mockRestore())).rejects.toThrow("aborted")
})
