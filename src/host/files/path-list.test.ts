import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Readable } from "node:stream"
import { afterAll, expect, test } from "vitest"
import { readLines, readPathList } from "./path-list.ts"

const folder = mkdtempSync(join(tmpdir(), "path-list-"))
afterAll(() => rmSync(folder, { recursive: true }))

const from = (...parts: (string | Uint8Array)[]) =>
  readPathList("-", Readable.from(parts.map((part) => Buffer.from(part))))

test("a path on each line, or a NUL after each, whatever line breaks the paths have", async () => {
  expect(await from("a.jpg\nb c.jpg\r\n\n", "d.jpg")).toEqual(["a.jpg", "b c.jpg", "d.jpg"])
  expect(await from("a\n1.jpg\0b.jpg\0")).toEqual(["a\n1.jpg", "b.jpg"])
  const [first, second] = [Buffer.from("é.jpg").subarray(0, 1), Buffer.from("é.jpg").subarray(1)]
  expect(await from(first, second)).toEqual(["é.jpg"])
})

test("a file; what is not a list of paths is told", async () => {
  const path = join(folder, "list.txt")
  writeFileSync(path, "\ufeffa.jpg\nb.jpg")
  expect(await readPathList(path)).toEqual(["a.jpg", "b.jpg"])
  await expect(from("\n\n")).rejects.toThrow("standard input names no files")
  await expect(from("a.jpg\n", Uint8Array.of(0xff, 0xe9))).rejects.toThrow("standard input, line 2 is not UTF-8")
  await expect(readPathList(join(folder, "none.txt"))).rejects.toThrow(/none\.txt does not exist$/)
})

test("lines of text: blank ones count, a line break at the end does not", async () => {
  expect(await readLines("-", Readable.from([Buffer.from("a\n\nb\r\n")]))).toEqual(["a", "", "b"])
  await expect(readLines("-", Readable.from([]))).rejects.toThrow("standard input is empty")
})

test("a list that no text could hold is refused for its size, and not called damaged", async () => {
  const path = join(folder, "long.txt")
  writeFileSync(path, "")
  // A file with a hole takes no room.
  truncateSync(path, 600_000_000)
  await expect(readPathList(path)).rejects.toThrow(/long\.txt has 600000000 bytes, and at most \d+ are expected$/)
})
