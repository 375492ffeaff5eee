import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { UserError } from "../../core/errors.ts"
import { lockFolder } from "../locks/lock.ts"
import { readJson, writeAtomically } from "./files.ts"
import { checkReplaceable, isMountPoint, mountPointsIn, writeDirectoryAtomically } from "./folder.ts"
import { removeAbandoned, stagingPath } from "./staging.ts"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "folder-"))
})
afterEach(() => rmSync(folder, { recursive: true }))

const at = (...parts: string[]) => join(folder, ...parts)
const content = () => readdirSync(folder, { recursive: true }).map(String).sort()

/** A folder that lists its files, as a model's does. */
const build = (name: string) => async (path: string) => {
  mkdirSync(join(path, "sub"))
  await writeAtomically(join(path, "sub", name), [name])
  await writeAtomically(join(path, "list"), [JSON.stringify(["list", `sub/${name}`])])
  return name
}

async function own(path: string): Promise<string[]> {
  return existsSync(join(path, "list")) ? ((await readJson(join(path, "list"), "a list")) as string[]) : []
}

const write = (name: string, path = at("out")) => writeDirectoryAtomically(path, build(name), own)

test("a folder is built beside and takes the place of an old one", async () => {
  expect(await write("one")).toBe("one")
  expect(await write("two", `${at("out")}/`)).toBe("two")
  expect(content()).toEqual(["out", "out/list", "out/sub", "out/sub/two"])
})

test("a folder that fails half-way leaves the old one and nothing else", async () => {
  await write("one")
  const failing = async (path: string) => {
    await build("two")(path)
    // As a full disk: the system's own error, from the device that is always full.
    await writeFile("/dev/full", "x")
  }
  await expect(writeDirectoryAtomically(at("out"), failing, own)).rejects.toThrow(/^disk full while writing .*$/)
  expect(content()).toEqual(["out", "out/list", "out/sub", "out/sub/one"])
})

test("other content is named, nothing is built and nothing is touched", async () => {
  await write("one")
  mkdirSync(at("out", "notes", "old"), { recursive: true })
  for (const name of ["notes/a.txt", "sub/b\u001b[31m.txt", ".env"]) writeFileSync(at("out", name), "mine")
  mkdirSync(at("out", "empty"))
  const before = content()
  let built = false
  const error = await writeDirectoryAtomically(at("out"), async () => (built = true), own).catch((error) => error)
  expect(error).toBeInstanceOf(UserError)
  expect(error.message).toBe(
    `${at("out")} has other content (.env, empty/, notes/, sub/b\\x1b[31m.txt) and is not replaced`,
  )
  expect(built).toBe(false)
  expect(content()).toEqual(before)
  await expect(checkReplaceable(at("out"), own)).rejects.toThrow("other content")
})

test("files that a system leaves in folders are not content; all other hidden files are", async () => {
  await write("one")
  const left = [".DS_Store", "Thumbs.db", "desktop.ini", ".directory", "._list", "sub/.DS_Store", "sub/._one"]
  for (const name of left) writeFileSync(at("out", name), "")
  await checkReplaceable(at("out"), own)
  await write("two")
  expect(content()).toEqual(["out", "out/list", "out/sub", "out/sub/two"])
  // Nothing else is in it, or was.
  mkdirSync(at("seen"))
  writeFileSync(at("seen", ".DS_Store"), "")
  await write("one", at("seen"))
  for (const name of [".DS_Store.txt", "directory", ".hidden"]) writeFileSync(at("out", name), "")
  mkdirSync(at("out", "._folder"))
  await expect(write("three")).rejects.toThrow("other content (.DS_Store.txt, ._folder/, .hidden, directory)")
})

test("the folder that a shell is in, and those around it, are not taken away under it", async () => {
  await write("one")
  const cwd = vi.spyOn(process, "cwd")
  try {
    for (const [path, words] of [
      [at("out"), "is the folder you are in"],
      [at("out", "sub"), "has the folder you are in (sub)"],
    ] as const) {
      cwd.mockReturnValue(path)
      await expect(checkReplaceable(at("out"), own)).rejects.toThrow(`${at("out")} ${words} and is not replaced`)
      await expect(write("two")).rejects.toThrow(words)
    }
    cwd.mockReturnValue(at("out"))
    await expect(write("two", ".")).rejects.toThrow(". is the folder you are in")
    expect(await write("one", "inner")).toBe("one")
    rmSync(at("out", "inner"), { recursive: true })
    for (const other of [at("out2"), folder, at("gone")]) {
      if (other === at("out2")) mkdirSync(other)
      cwd.mockReturnValue(other)
      expect(await write("two", at("out"))).toBe("two")
    }
  } finally {
    cwd.mockRestore()
  }
})

test.runIf(process.platform === "linux")(
  "a mount point is refused before the work, and its content stays",
  async () => {
    for (const work of [() => checkReplaceable("/proc", own), () => write("one", "/proc")])
      await expect(work()).rejects.toMatchObject({
        message: "/proc is a mount point and cannot be replaced",
        hint: "write to a folder in it, or choose another one to write to",
      })
  },
)

test("a folder of something else is not replaced; the error lists the first names and counts the others", async () => {
  mkdirSync(at("home"))
  for (let i = 0; i < 8; i++) writeFileSync(at("home", `${i}`), "")
  await expect(write("one", at("home"))).rejects.toThrow("other content (0, 1, 2, 3, 4 and 3 more)")
  expect(readdirSync(at("home"))).toHaveLength(8)
})

test("an empty folder is taken, and a folder of the own kind that is left empty may be replaced", async () => {
  mkdirSync(at("out"))
  await write("one")
  rmSync(at("out", "sub", "one"))
  await write("two")
  expect(content()).toEqual(["out", "out/list", "out/sub", "out/sub/two"])
})

test("files that appear while the new folder is built are not lost", async () => {
  await write("one")
  const slow = async (path: string) => {
    await build("two")(path)
    writeFileSync(at("out", "sub", "late.txt"), "mine")
  }
  await expect(writeDirectoryAtomically(at("out"), slow, own)).rejects.toThrow("other content (sub/late.txt)")
  expect(content()).toEqual(["out", "out/list", "out/sub", "out/sub/late.txt", "out/sub/one"])
})

test("when two processes replace one folder at once, one result is there, complete", async () => {
  await write("zero")
  await Promise.all(["a", "b", "c", "d", "e", "f"].map((name) => write(name)))
  const [name] = readdirSync(at("out", "sub"))
  expect(content()).toEqual(["out", "out/list", "out/sub", `out/sub/${name}`])
  expect(readFileSync(at("out", "list"), "utf8")).toBe(JSON.stringify(["list", `sub/${name}`]))
})

test("a link stays a link, and the folder that it leads to is replaced", async () => {
  mkdirSync(at("disk"))
  symlinkSync(at("disk", "model"), at("link"))
  await write("one", at("link"))
  await write("two", `${at("link")}/`)
  expect(lstatSync(at("link")).isSymbolicLink()).toBe(true)
  expect(readdirSync(at("disk"), { recursive: true }).sort()).toEqual([
    "model",
    "model/list",
    "model/sub",
    "model/sub/two",
  ])
  expect(readdirSync(folder).sort()).toEqual(["disk", "link"])
})

test("a folder that a link in it leads to is not its own content", async () => {
  await write("one")
  renameSync(at("out", "sub"), at("elsewhere"))
  symlinkSync(at("elsewhere"), at("out", "sub"))
  await expect(write("two")).rejects.toThrow("other content (sub)")
  expect(readFileSync(at("elsewhere", "one"), "utf8")).toBe("one")
})

test("a folder in which a process works is not replaced, also where nothing is in it yet", async () => {
  {
    using _ = await lockFolder(at("out"), "mobileclip train")
    await expect(write("one")).rejects.toThrow(`is in use: mobileclip train (process ${process.pid}) works there since`)
    writeFileSync(at("out", "started"), "")
  }
  rmSync(at("out", "started"))
  // What a dead process leaves is not content.
  writeFileSync(at("out", ".lock"), readFileSync("/dev/null"))
  await expect(write("one")).rejects.toThrow("is being taken by another process")
  expect(existsSync(at("out", "sub"))).toBe(false)
})

test("hidden names of others that look like a lock or a staging file are content", async () => {
  await write("one")
  for (const name of [".cargo.lock", ".notes.202411291200.old"]) writeFileSync(at("out", name), "mine")
  writeFileSync(at("out", "sub", ".lock"), "mine")
  await expect(write("two")).rejects.toThrow("other content (.cargo.lock, .notes.202411291200.old, sub/.lock)")
  expect(readFileSync(at("out", "sub", ".lock"), "utf8")).toBe("mine")
})

test("a folder cannot take the place of a file", async () => {
  writeFileSync(at("file"), "mine")
  await expect(write("one", at("file"))).rejects.toThrow(UserError)
  expect(readFileSync(at("file"), "utf8")).toBe("mine")
  expect(content()).toEqual(["file"])
})

test("killed between the two renames, the old folder comes back", async () => {
  await write("one")
  const old = stagingPath(at("out"), "old").replace(/\.[0-9a-f]{8}/, ".7fffffff")
  renameSync(at("out"), old)
  const half = old.replace(/old$/, "tmp")
  mkdirSync(half)
  await removeAbandoned(folder)
  expect(content()).toEqual(["out", "out/list", "out/sub", "out/sub/one"])
  // Where the new one is there, the old one goes.
  mkdirSync(old)
  writeFileSync(join(old, "x"), basename(old))
  await removeAbandoned(folder)
  expect(content()).toEqual(["out", "out/list", "out/sub", "out/sub/one"])
})

test("mount points are read from Linux's list", () => {
  const list = [
    "22 27 0:21 / /proc rw,nosuid shared:12 - proc proc rw",
    "31 27 8:1 /home/a /mnt/my\\040disk\\134x rw - ext4 /dev/sda1 rw",
    "",
  ]
  expect(mountPointsIn(list.join("\n"))).toEqual(["/proc", "/mnt/my disk\\x"])
})

test.runIf(process.platform === "linux")("a file system's root is a mount point, a folder in it is not", async () => {
  expect([await isMountPoint("/proc"), await isMountPoint(folder)]).toEqual([true, false])
})
