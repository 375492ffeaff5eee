import { expect, test } from "vitest"
import { tarEnd, tarEntry } from "../../../../test/hostile.ts"
import { UserError } from "../../../core/errors.ts"
import { readTarSample } from "./tar-sample.ts"

/** A file of these entries that counts what is read of it. */
function fileOf(entries: readonly Uint8Array[]) {
  const bytes = Buffer.concat([...entries, tarEnd])
  const reads: number[] = []
  const read = (offset: number, length: number) => {
    expect(offset + length).toBeLessThanOrEqual(bytes.length)
    reads.push(length)
    return new Uint8Array(bytes.subarray(offset, offset + length))
  }
  return { name: "a.tar", size: bytes.length, read, reads }
}

function readSample(file: ReturnType<typeof fileOf>, end: number, isSparing = false, extensions = ["jpg", "txt"]) {
  const location = { kind: "tar", path: file.name, extents: [{ start: 0, end }], extensions } as const
  const { key, members } = readTarSample(file, location, { isSparing, onKey: () => {} })
  return [key, Object.fromEntries([...members].map(([name, bytes]) => [name, bytes.length]))]
}

test("a small sample takes one read", () => {
  const file = fileOf([
    tarEntry("a.jpg", "x".repeat(70_000)),
    tarEntry("a.npz", "n".repeat(5000)),
    tarEntry("a.txt", "one"),
  ])
  expect(readSample(file, file.size - 1024)).toEqual(["a", { jpg: 70_000, txt: 3 }])
  expect(file.reads).toEqual([file.size - 1024])
})

test("of a large one heads come first, then what is wanted", () => {
  const large = "n".repeat(3 * 2 ** 20)
  const file = fileOf([
    tarEntry("a.jpg", "x".repeat(70_000)),
    tarEntry("a.npz", large),
    tarEntry("a.txt", "one"),
    tarEntry("b.jpg", large),
  ])
  expect(readSample(file, file.size - 1024)).toEqual(["a", { jpg: 70_000, txt: 3 }])
  expect(file.reads.reduce((sum, length) => sum + length, 0)).toBeLessThan(75_000)
})

test("captions alone are read sparingly", () => {
  const file = fileOf([tarEntry("a.jpg", "x".repeat(700_000)), tarEntry("a.txt", "one")])
  expect(readSample(file, file.size - 1024, true, ["txt"])).toEqual(["a", { txt: 3 }])
  expect(file.reads.reduce((sum, length) => sum + length, 0)).toBeLessThan(2000)
})

test("a sample of many members, or of more bytes than can be held, is refused", () => {
  const many = fileOf(Array.from({ length: 10_001 }, (_, i) => tarEntry(`a.x${i}`, "")))
  expect(() => readSample(many, many.size - 1024)).toThrow("it has more than 10000 members")
  const size = 2 ** 28 + 1
  const head = tarEntry("a.jpg", "", "0", size)
  const huge = { name: "a.tar", size: 2 ** 30, read: () => new Uint8Array(head) }
  const location = { kind: "tar", path: "a.tar", extents: [{ start: 0, end: 2 ** 30 }], extensions: ["jpg"] } as const
  const read = () => readTarSample(huge, location, { isSparing: false, onKey: () => {} })
  expect(read).toThrow(UserError)
})

test("what is not there, or is not an archive, is the sample's fault", () => {
  const file = fileOf([tarEntry("README", "no sample")])
  expect(() => readSample(file, file.size - 1024)).toThrow("no sample is there")
  expect(() => readSample(fileOf([Buffer.alloc(1024, 7)]), 1024)).toThrow("no tar archive is there")
})
