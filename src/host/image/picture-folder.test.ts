import { execFileSync } from "node:child_process"
import { linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { imageFiles } from "./image-files.ts"
import { walkPictures } from "./picture-folder.ts"

let root: string
let folder: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "picture-folder-"))
  folder = join(root, "pictures")
  mkdirSync(folder)
})
afterEach(() => rmSync(root, { recursive: true }))

function write(...paths: string[]): void {
  for (const path of paths) {
    mkdirSync(join(folder, path, ".."), { recursive: true })
    writeFileSync(join(folder, path), path)
  }
}

const link = (target: string, path: string) => symlinkSync(target, join(folder, path))

test("what is left out has a note, and files that say something about a picture are no files of another kind", async () => {
  write("a.jpg", "a.xmp", "a.jpg.json", "b.xmp", "out/c.jpg", "d.mov")
  const { pictures, others, notes } = await walkPictures(folder, { isLeftOut: (path) => path === "out" })
  expect(pictures).toEqual(["a.jpg"])
  expect([...others].sort()).toEqual(["a.jpg.json", "a.xmp", "b.xmp", "d.mov"])
  expect(notes).toEqual([
    expect.stringMatching(
      /passed over 2 files of other kinds \(1 \.xmp, 1 \.mov\).*; what is left out: 1 name \(out\)$/,
    ),
  ])
})

test("an ordinary folder: by path, captions beside, class folders", async () => {
  write(
    "b/2.jpg",
    "b/10.PNG",
    "a-b/x.webp",
    "a/x.tiff",
    "z.jpe",
    "y.jfif",
    "a/deep/er.gif",
    "b/2.txt",
    "a/n.avif",
    "a/p.HEIC",
    "a/q.heif",
    "a/r.hif",
  )
  const found = await walkPictures(folder)
  const all = readdirSync(folder, { recursive: true, encoding: "utf8" })
  expect(found.pictures).toEqual(all.filter((name) => /\.[^t][^/]*$|\.tiff$/.test(name)).sort())
  expect(found.pictures).toHaveLength(11)
  expect([...found.others]).toEqual(["b/2.txt"])
  expect(found.folders).toEqual(["a", "a-b", "b"])
  expect(found.notes).toEqual([])
})

test("a folder is a folder, whatever it is called, and hidden names are passed over", async () => {
  write("holiday.jpg/1.jpg", "holiday.jpg/notes.jpg/2.png", "._a.jpg", ".ipynb_checkpoints/a.jpg", "c/.hidden.png")
  const { pictures, folders, notes } = await walkPictures(folder)
  expect(pictures).toEqual(["holiday.jpg/1.jpg", "holiday.jpg/notes.jpg/2.png"])
  expect(folders).toEqual(["c", "holiday.jpg"])
  expect(notes).toEqual([])
})

test("links are followed, and nothing comes twice", async () => {
  write("cat/1.jpg", "dog/2.jpg")
  mkdirSync(join(root, "elsewhere", "deep"), { recursive: true })
  for (const name of ["3.jpg", "deep/4.jpg", "blob"]) writeFileSync(join(root, "elsewhere", name), "")
  link(".", "self")
  link("../..", "cat/up")
  link("../cat", "dog/cats")
  link("cat/1.jpg", "a.jpg")
  link("../elsewhere/3.jpg", "b.jpg")
  link("../elsewhere/blob", "blob.jpg")
  link("../elsewhere/blob", "blob2.jpg")
  link("../elsewhere/deep", "deep")
  link("../elsewhere/blob", "note.txt")
  link("nowhere", "nowhere.jpg")
  link("loop.jpg", "loop.jpg")
  const { pictures, others, folders, notes } = await walkPictures(folder)
  // Through cat/up, a link to the parent folder: all pictures in elsewhere.
  expect(pictures).toEqual([
    ...["blob.jpg", "cat/1.jpg", "cat/up/elsewhere/3.jpg", "cat/up/elsewhere/deep/4.jpg", "dog/2.jpg"],
  ])
  expect([...others].sort()).toEqual(["cat/up/elsewhere/blob", "note.txt"])
  expect(folders).toEqual(["cat", "dog"])
  expect(notes).toEqual([
    expect.stringContaining(
      "; 3 links to pictures that came before; " +
        "4 folders that came before under another name (cat/up/pictures, deep, dog/cats, self); 2 links to nothing",
    ),
  ])
})

test("folders that links lead to are classes too", async () => {
  write("cat/1.jpg")
  mkdirSync(join(root, "elsewhere"))
  writeFileSync(join(root, "elsewhere", "2.jpg"), "")
  link("../elsewhere", "dog")
  const { pictures, folders } = await walkPictures(folder)
  expect([pictures, folders]).toEqual([
    ["cat/1.jpg", "dog/2.jpg"],
    ["cat", "dog"],
  ])
})

test("each of many links gets its own target, in order", async () => {
  mkdirSync(join(root, "elsewhere"))
  const names = Array.from({ length: 100 }, (_, i) => `${String(i).padStart(2, "0")}.jpg`)
  for (const name of names) {
    if (name !== "50.jpg") writeFileSync(join(root, "elsewhere", name), "")
    link(`../elsewhere/${name}`, name)
    link(`../elsewhere/${name}`, `again-${name}`)
  }
  const { pictures, notes } = await walkPictures(folder)
  expect(pictures).toEqual(names.filter((name) => name !== "50.jpg"))
  expect(notes).toEqual([`${folder}: passed over 99 links to pictures that came before; 2 links to nothing`])
})

test("a class folder that is a link to another one is passed over, and named", async () => {
  write("one/1.jpg", "two/2.jpg")
  mkdirSync(join(root, "elsewhere"))
  writeFileSync(join(root, "elsewhere", "3.jpg"), "")
  link("one", "uno")
  link("../elsewhere", "else")
  expect(await walkPictures(folder)).toEqual({
    pictures: ["else/3.jpg", "one/1.jpg", "two/2.jpg"],
    others: new Set(),
    folders: ["else", "one", "two"],
    unread: [],
    notes: [`${folder}: passed over 1 folder that came before under another name (uno)`],
  })
  for (let i = 0; i < 5; i++) link("one", `again-${i}`)
  expect((await walkPictures(folder)).notes).toEqual([
    `${folder}: passed over 6 folders that came before under another name ` +
      "(again-0, again-1, again-2, again-3, again-4, ...)",
  ])
})

test("class folders of links to one pool, in the folder or outside of it: each has its pictures, once", async () => {
  for (const pool of ["all", "../pool"]) {
    rmSync(folder, { recursive: true })
    write(...[0, 1, 2].map((i) => `${pool}/${i}.jpg`))
    const linked = ["best/0.jpg", "cat/0.jpg", "cat/deep/1.jpg", "cat/deep/2.jpg"]
    write(...["best", "cat/deep"].map((path) => `${path}/.keep`))
    const target = (path: string) => join(folder, pool, path.slice(-5))
    for (const path of linked) link(target(path), path)
    for (const repeated of ["cat/again-0.jpg", "cat/again-1.jpg", "loose-0.jpg"]) link(target(repeated), repeated)
    const own = pool === "all" ? ["all/0.jpg", "all/1.jpg", "all/2.jpg"] : []
    const { pictures, folders, notes } = await walkPictures(folder)
    expect(pictures).toEqual([...own, "best/0.jpg", "cat/0.jpg", "cat/again-1.jpg", "cat/deep/2.jpg"])
    expect(folders).toEqual([...(pool === "all" ? ["all"] : []), "best", "cat"])
    expect(notes).toEqual([`${folder}: passed over 3 links to pictures that came before`])
  }
})

test("a link in a class folder to a picture of it is passed over", async () => {
  write("cat/1.jpg")
  link("1.jpg", "cat/2.jpg")
  expect((await walkPictures(folder)).pictures).toEqual(["cat/1.jpg"])
})

test("a hard link is a file of its own", async () => {
  write("a.jpg")
  linkSync(join(folder, "a.jpg"), join(folder, "b.jpg"))
  expect((await walkPictures(folder)).pictures).toEqual(["a.jpg", "b.jpg"])
})

test("what is not a file is passed over and said, so is what is of another kind", async () => {
  write("a.jpg", "b.bmp", "c.BMP", "d.mp4", "e", "a.txt")
  execFileSync("mkfifo", [join(folder, "pipe.jpg")])
  link("pipe.jpg", "to-pipe.jpg")
  link("/dev/zero", "zero.png")
  const server = createServer().listen(join(folder, "socket.jpg"))
  try {
    const { pictures, notes } = await walkPictures(folder)
    expect(pictures).toEqual(["a.jpg"])
    expect(notes).toEqual([
      `${folder}: passed over 4 files of other kinds (2 .bmp, 1 .mp4, 1 without an extension), for JPEG, PNG, WebP, ` +
        "AVIF, HEIC, TIFF and GIF are read; 4 pipes, sockets or devices",
    ])
  } finally {
    server.close()
  }
})

test("a folder that cannot be read is said, and the others are read", async () => {
  write("b/2.jpg")
  const name = "a".repeat(200)
  // Deeper than the longest path may be.
  const deeper = `for (let i = 0; i < 25; i++) { require("fs").mkdirSync("${name}"); process.chdir("${name}") }`
  execFileSync(process.execPath, ["-e", deeper], { cwd: folder })
  try {
    const { pictures, folders, notes, unread } = await walkPictures(folder)
    expect([pictures, folders]).toEqual([["b/2.jpg"], [name, "b"]])
    expect(notes).toEqual([expect.stringMatching(/^the name is too long: .*aaa\.\.\.$/)])
    expect(unread).toEqual([{ path: expect.stringMatching(/^a{200}\/.*aaa$/), reason: notes[0] }])
  } finally {
    execFileSync("rm", ["-r", name], { cwd: folder })
  }
})

test("a folder whose name is not UTF-8 cannot be found by the name that is read: it is said, and why", async () => {
  write("b/2.jpg")
  const latin = Buffer.concat([Buffer.from(`${folder}/caf`), Buffer.of(0xe9)])
  mkdirSync(latin)
  writeFileSync(Buffer.concat([latin, Buffer.from("/1.jpg")]), "")
  const { pictures, notes, unread } = await walkPictures(folder)
  expect([pictures, notes]).toEqual([["b/2.jpg"], [`${folder}/caf\ufffd cannot be read: its name is not UTF-8`]])
  expect(unread).toEqual([{ path: "caf\ufffd", reason: notes[0] }])
})

test("a walk tells how many files it has after each folder, and enters no other one when it is aborted", async () => {
  write("1.jpg", "a/2.jpg", "a/2.txt", "a/deep/3.jpg", "b/4.jpg")
  const found: number[] = []
  const whole = await walkPictures(folder, { onFound: (files) => found.push(files) })
  expect([whole.pictures.length, whole.others.size]).toEqual([4, 1])
  expect(found).toEqual(found.toSorted((x, y) => x - y))
  expect([found.length, found.at(-1)]).toEqual([4, 5])
  const controller = new AbortController()
  const stopped = new Error("stopped")
  let folders = 0
  const onFound = () => {
    folders++
    controller.abort(stopped)
  }
  await expect(walkPictures(folder, { onFound, signal: controller.signal })).rejects.toBe(stopped)
  // The folders around the first one are looked through to their ends, and no other one.
  expect(folders).toBeLessThan(4)
})

test("paths of folders give the pictures in them; without any, the error says what is there", async () => {
  write("a/2.jpg", "a/1.jpg", "b/x.bmp")
  const notes: string[] = []
  const paths = [join(folder, "a"), join(folder, "nowhere.jpg")]
  expect(await imageFiles(paths, (line) => notes.push(line))).toEqual([
    join(folder, "a/1.jpg"),
    join(folder, "a/2.jpg"),
    join(folder, "nowhere.jpg"),
  ])
  expect(notes).toEqual([])
  await expect(imageFiles([join(folder, "b")])).rejects.toMatchObject({
    message: `${join(folder, "b")} holds no pictures`,
    hint: `${join(folder, "b")}: passed over 1 file of other kinds (1 .bmp), for JPEG, PNG, WebP, AVIF, HEIC, TIFF and GIF are read`,
  })
  mkdirSync(join(folder, "empty"))
  link("nowhere", "empty/a.jpg")
  await expect(imageFiles([join(folder, "empty")])).rejects.toMatchObject({
    hint: `JPEG, PNG, WebP, AVIF, HEIC, TIFF and GIF are read; ${join(folder, "empty")}: passed over 1 link to nothing`,
  })
  await expect(walkPictures(join(folder, "nowhere"))).rejects.toThrow("nowhere does not exist")
})

test("a long list of paths keeps its order, with the pictures of folders in their places", async () => {
  write("a/2.jpg", "a/1.jpg", "b/3.jpg")
  const path = (name: string) => join(folder, name)
  const many = (first: number) => Array.from({ length: 200 }, (_, i) => path(`no-such-${first + i}.jpg`))
  const paths = [...many(0), path("b"), ...many(200), path("a"), path("a"), ...many(400)]
  expect(await imageFiles(paths)).toEqual([
    ...many(0),
    path("b/3.jpg"),
    ...many(200),
    ...["a/1.jpg", "a/2.jpg", "a/1.jpg", "a/2.jpg"].map(path),
    ...many(400),
  ])
})
