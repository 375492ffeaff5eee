import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { once } from "node:events"
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { UserError } from "../../core/errors.ts"
import {
  makeDirectory,
  openRandomAccess,
  prepareFile,
  readBytes,
  readBytesIfThere,
  readJson,
  requireFile,
  resolveLink,
  writeAtomically,
} from "./files.ts"
import { sha256OfFile } from "./hash.ts"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "files-"))
})
afterEach(() => rmSync(folder, { recursive: true }))

const at = (...parts: string[]) => join(folder, ...parts)
const content = () => readdirSync(folder, { recursive: true }).map(String).sort()

/** Fails as a full disk does: the system's own error, from the device that is always full. */
async function fillDisk(): Promise<void> {
  await writeFile("/dev/full", "x")
}

test("before long work: a file's folder is made, and what cannot be written is refused", async () => {
  await prepareFile(at("a", "b", "sheet.png"))
  expect(content()).toEqual(["a", "a/b"])
  await expect(prepareFile(at("a"))).rejects.toThrow("is a folder, and a file is to be written")
  await writeFile(at("file"), "")
  await expect(prepareFile(at("file", "x", "sheet.png"))).rejects.toThrow(/is a file, or in one, where a folder was/)
})

test("a file is written from chunks and replaces an old one", async () => {
  await writeAtomically(at("a"), ["old"])
  await writeAtomically(
    at("a"),
    (async function* () {
      yield Uint8Array.of(104, 105)
      yield "!"
    })(),
  )
  expect(readFileSync(at("a"), "utf8")).toBe("hi!")
  expect(content()).toEqual(["a"])
})

test("a full disk leaves the old file and nothing else", async () => {
  await writeAtomically(at("a"), ["old"])
  const chunks = async function* () {
    yield "new"
    await fillDisk()
  }
  const error = await writeAtomically(at("a"), chunks()).catch((error) => error)
  expect(error).toBeInstanceOf(UserError)
  expect(error.message).toMatch(/^disk full while writing .*$/)
  expect(error.hint).toContain("free some space and run again; no half-written file was left")
  expect(readFileSync(at("a"), "utf8")).toBe("old")
  expect(content()).toEqual(["a"])
})

test("an error of the source comes through, and nothing is left", async () => {
  const chunks = function* () {
    yield "some"
    throw new RangeError("from the source")
  }
  await expect(writeAtomically(at("a"), chunks())).rejects.toThrow(RangeError)
  expect(content()).toEqual([])
})

test("what cannot be written is said in one line", async () => {
  mkdirSync(at("folder"))
  writeFileSync(at("file"), "")
  const message = (path: string) => writeAtomically(path, ["x"]).catch((error) => error.message)
  expect(await message(at("no", "a"))).toBe(`the folder of ${at("no", "a")} does not exist`)
  expect(await message(at("folder"))).toBe(`${at("folder")} is a folder, and a file was expected`)
  expect(await message(at("file", "a"))).toContain("where a folder was expected")
  expect(content()).toEqual(["file", "folder"])
})

test("ranged reads", () => {
  writeFileSync(at("a"), "0123456789")
  const file = openRandomAccess(at("a"))
  expect(file.size).toBe(10)
  expect(Buffer.from(file.read(3, 4)).toString()).toBe("3456")
  expect(() => file.read(8, 4)).toThrow("ends at byte 10, before byte 12")
  file.close()
  expect(() => openRandomAccess(at("none"))).toThrow(`${at("none")} does not exist`)
  expect(() => openRandomAccess(folder)).toThrow(`${folder} is a folder, and a file was expected`)
})

test("whole files and JSON", async () => {
  writeFileSync(at("a.json"), '{"a": 1}')
  writeFileSync(at("b.json"), '{"a": \n1')
  expect(await readJson(at("a.json"), "a manifest")).toEqual({ a: 1 })
  await expect(readJson(at("b.json"), "a manifest")).rejects.toThrow(
    /^[^\n]*b\.json should be a manifest, but is not JSON: [^\n]*$/,
  )
  writeFileSync(at("large.json"), "")
  truncateSync(at("large.json"), 2 ** 26 + 1)
  await expect(readJson(at("large.json"), "a manifest")).rejects.toThrow("should be a manifest, but has 67108865 bytes")
  await expect(readJson(at("none"), "a manifest")).rejects.toThrow(`${at("none")} does not exist`)
  await expect(readBytes(at("none"))).rejects.toThrow(`${at("none")} does not exist`)
  await expect(readBytes(folder)).rejects.toThrow(`${folder} is a folder, and a file was expected`)
})

test("a pipe without a writer, and a device, are refused and not waited for", async () => {
  execFileSync("mkfifo", [at("pipe")])
  symlinkSync(at("pipe"), at("to-pipe"))
  const server = createServer().listen(at("socket"))
  await once(server, "listening")
  for (const path of [at("pipe"), at("to-pipe"), "/dev/zero", at("socket")]) {
    const message = `${path} is a pipe, a socket or a device, and a file was expected`
    await expect(readBytes(path)).rejects.toThrow(message)
    await expect(readBytesIfThere(path)).rejects.toThrow(message)
    await expect(requireFile(path)).rejects.toThrow(message)
    await expect(sha256OfFile(path)).rejects.toThrow(message)
    expect(() => openRandomAccess(path)).toThrow(message)
  }
  server.close()
  expect(await readBytesIfThere(at("none"))).toBeNull()
})

test.each([0, 1, 2 ** 20 - 1, 2 ** 20, 2 ** 20 + 1, 3 * 2 ** 20 + 5])(
  "a file of %d bytes is read whole, into memory of its own, and its hash is that of its content",
  async (size) => {
    const bytes = Buffer.from(Array.from({ length: size }, (_, i) => (i * 31 + (i >> 8)) & 255))
    await writeFile(at("file"), bytes)
    const read = await readBytes(at("file"))
    expect(Buffer.compare(read, bytes)).toBe(0)
    if (size > 0) expect(read.buffer.byteLength).toBe(size)
    expect(await sha256OfFile(at("file"))).toBe(createHash("sha256").update(bytes).digest("hex"))
  },
)

test("a file of the system that says it is empty is read, and hashed by what it holds", async () => {
  if (process.platform !== "linux") return
  const path = "/proc/version"
  expect(statSync(path).size).toBe(0)
  expect(Buffer.from(await readBytes(path))).toEqual(readFileSync(path))
  expect(await sha256OfFile(path)).toBe(createHash("sha256").update(readFileSync(path)).digest("hex"))
})

test("hashing many small files takes no memory for each of them", async () => {
  await writeFile(at("small"), "x")
  const before = process.memoryUsage().arrayBuffers
  for (let i = 0; i < 64; i++) await sha256OfFile(at("small"))
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20)
})

test("a folder is made with those around it; where none can be made, one line says so", async () => {
  await makeDirectory(at("a", "b", "c"))
  await makeDirectory(at("a", "b", "c"))
  expect(content()).toEqual(["a", "a/b", "a/b/c"])
  await writeFile(at("file"), "")
  await expect(makeDirectory(at("file", "x"))).rejects.toThrow("where a folder was expected")
  await expect(makeDirectory(at("file"))).rejects.toThrow(UserError)
  if (process.platform === "linux") await expect(makeDirectory("/proc/mobileclip")).rejects.toThrow(UserError)
})

test("the path of a folder is what links lead to, and has no slash at its end", async () => {
  mkdirSync(at("real"))
  symlinkSync("real", at("link"))
  symlinkSync("later", at("dangling"))
  symlinkSync("round", at("round"))
  expect(await resolveLink(`${at("real")}/`)).toBe(at("real"))
  expect(await resolveLink(at("link"))).toBe(at("real"))
  expect(await resolveLink(`${at("link")}/`)).toBe(at("real"))
  expect(await resolveLink(at("dangling"))).toBe(at("later"))
  expect(await resolveLink(at("none"))).toBe(at("none"))
  await expect(resolveLink(at("round"))).rejects.toThrow("round is a link that leads back to itself")
})
