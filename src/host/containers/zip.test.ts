import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { zipArchive } from "../../../test/zip-archive.ts"
import { Budget } from "../../core/budget.ts"
import { bytesAsSource } from "../../core/containers/safetensors.ts"
import { UserError } from "../../core/errors.ts"
import { openRandomAccess } from "../files/files.ts"
import { readZipDirectory, readZipEntry } from "./zip.ts"

const text = (value: string) => new TextEncoder().encode(value)
const contents = new Map([
  ["a/one.txt", text("one one one one one one one one one")],
  ["empty", text("")],
  ["two", Uint8Array.from({ length: 5000 }, (_, i) => i % 7)],
])
const budget = new Budget(2 ** 20, "a.zip")
const open = (bytes: Uint8Array) => readZipDirectory(bytesAsSource("a.zip", bytes))

test.each([{}, { deflate: true }, { zip64: true }, { zip64: true, deflate: true }, { align: 64 }, { crc: false }])(
  "entries of an archive with %j",
  async (options) => {
    const bytes = zipArchive(contents, options)
    const entries = await open(bytes)
    expect([...entries.keys()]).toEqual([...contents.keys()])
    for (const [name, content] of contents) {
      const entry = entries.get(name)!
      expect(Uint8Array.from(readZipEntry(bytesAsSource("a.zip", bytes), entry, budget))).toEqual(content)
      expect(entry).toMatchObject({ size: content.length, method: "deflate" in options ? "deflated" : "stored" })
      if ("align" in options) expect(entry.dataStart % 64).toBe(0)
    }
  },
)

test("a file on disk is read in place", async () => {
  const folder = mkdtempSync(join(tmpdir(), "zip-"))
  writeFileSync(join(folder, "a.zip"), zipArchive(contents))
  const file = openRandomAccess(join(folder, "a.zip"))
  const entries = await readZipDirectory(file)
  expect(Buffer.from(readZipEntry(file, entries.get("a/one.txt")!, budget)).toString()).toMatch(/^one one/)
  file.close()
  rmSync(folder, { recursive: true })
})

const archive = zipArchive(contents)
const directory = Buffer.from(archive).indexOf("PK\x01\x02")
const patched = (at: number, ...bytes: number[]) => {
  const copy = Uint8Array.from(archive)
  copy.set(bytes, at)
  return copy
}

test.each([
  ["nothing", new Uint8Array(0), "damaged or cut short"],
  ["no archive", text("x".repeat(100)), "damaged or cut short"],
  ["a cut archive", archive.subarray(0, archive.length - 30), "damaged or cut short"],
  ["more bytes at the end", Uint8Array.of(...archive, 0), "Invalid comment length"],
  ["an unknown method", patched(directory + 10, 12), "compressed by method 12"],
  ["an encrypted entry", patched(directory + 8, 1), "size mismatch"],
  ["an entry beyond the end", patched(directory + 42, 0xff, 0xff, 0xff), "it ends too early"],
  ["two entries in one place", patched(Buffer.from(archive).lastIndexOf("PK\x01\x02") + 42, 0, 0), "overlap"],
  ["a changed name", patched(directory + 46, 0x7a), "has another name before its data"],
  ["fewer entries than there are", patched(archive.length - 14, 1, 0, 1, 0), "more entries than it announces"],
  ["too many entries", patched(archive.length - 12, 0xff, 0xff), "65535 entries do not fit"],
])("%s is refused in one line", async (_, bytes, message) => {
  const error = await open(bytes).catch((error) => error)
  expect(error).toBeInstanceOf(UserError)
  expect(error.message).toMatch(/^a\.zip: [^\n]*$/)
  expect(error.message).toContain(message)
})

test("changed bytes and a wrong size are found", async () => {
  const entry = (await open(archive)).get("two")!
  expect(() => readZipEntry(bytesAsSource("a.zip", patched(entry.dataStart + 9, 99)), entry, budget)).toThrow(
    'a.zip: "two" has a wrong checksum (CRC-32)',
  )
  const deflated = zipArchive(contents, { deflate: true })
  const small = (await open(deflated)).get("two")!
  const source = bytesAsSource("a.zip", deflated)
  expect(() => readZipEntry(source, { ...small, size: 4000 }, budget)).toThrow("cannot be inflated")
  expect(() => readZipEntry(source, { ...small, size: 6000 }, budget)).toThrow("inflates to 5000 bytes instead of 6000")
})

test("a size that no deflated bytes can have is refused unread", async () => {
  const bytes = Uint8Array.from(zipArchive(contents, { deflate: true }))
  const at = Buffer.from(bytes).indexOf("PK\x01\x02")
  bytes.set([0, 0, 0, 0x7f], at + 24)
  await expect(open(bytes)).rejects.toThrow('"a/one.txt" cannot inflate to 2130706432 bytes')
})
