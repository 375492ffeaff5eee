/** The walk by heads finds what tar-stream finds, which reads every byte, in archives by several programs and in damaged ones. */
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { Readable } from "node:stream"
import { extract, type Header, pack } from "tar-stream"
import { expect, test } from "vitest"
import { paxField, tarEnd, tarEntry } from "../../../../test/hostile.ts"
import { Random } from "../../../core/arrays/random.ts"
import { decodeName } from "./tar-head.ts"
import { indexTar } from "./tar-index.ts"
import { type TarEntry, TarWalk } from "./tar-walk.ts"

type Found = Pick<TarEntry, "name" | "size" | "offset"> & { readonly isFile: boolean }

interface Reading {
  readonly entries: readonly Found[]
  readonly damage: string | null
}

/** @param piece of which size the source gives its bytes */
function walked(bytes: Uint8Array): Reading & { readonly read: number } {
  const entries: Found[] = []
  let read = 0
  const source = {
    name: "a.tar",
    size: bytes.length,
    read(offset: number, length: number) {
      expect(offset + length).toBeLessThanOrEqual(bytes.length)
      read += length
      return bytes.slice(offset, offset + length)
    },
  }
  try {
    for (const { name, size, offset, type } of new TarWalk(source).entries()) {
      entries.push({ name, size, offset, isFile: type === "file" })
    }
    return { entries, damage: null, read }
  } catch (error) {
    return { entries, damage: (error as Error).message, read }
  }
}

async function streamed(bytes: Uint8Array): Promise<Reading> {
  const entries: Found[] = []
  const archive = extract({ filenameEncoding: "latin1" } as Parameters<typeof extract>[0])
  try {
    for await (const entry of Readable.from([bytes]).pipe(archive)) {
      const { name, size, type, byteOffset, pax } = entry.header as Header & { byteOffset: number; pax: object | null }
      const isDecoded = pax !== null && "path" in pax
      if (!Number.isSafeInteger(size)) throw new Error("the size is damaged")
      entries.push({
        name: isDecoded ? name : decodeName(name),
        size: size!,
        offset: byteOffset,
        isFile: type === "file",
      })
      entry.resume()
    }
    return { entries, damage: null }
  } catch (error) {
    return { entries, damage: (error as Error).message }
  }
}

async function expectAlike(bytes: Uint8Array, what: string): Promise<void> {
  const { read: _, ...found } = walked(bytes)
  const expected = await streamed(bytes)
  const damage = /^the size of .* is damaged$/.test(found.damage ?? "") ? "the size is damaged" : found.damage
  expect({ ...found, damage }, what).toEqual(expected)
}

const letters = ["a", "b", "é", "中", ".", "/", "_", " ", "x".repeat(40)]

function randomName(random: Random): string {
  const name = Array.from({ length: 1 + random.int(8) }, () => letters[random.int(letters.length)]).join("")
  return `n${name.replaceAll(/\/+/g, "/")}${random.int(100)}.${["jpg", "txt", "syn.json"][random.int(3)]}`
}

const types = ["file", "file", "file", "file", "directory", "symlink", "link"] as const

async function randomArchive(random: Random): Promise<Buffer> {
  const archive = pack()
  const chunks: Buffer[] = []
  const collected = (async () => {
    for await (const chunk of archive as AsyncIterable<Buffer>) chunks.push(chunk)
  })()
  for (let i = random.int(12); i >= 0; i--) {
    const type = types[random.int(types.length)]!
    const name = randomName(random)
    const pax = random.int(4) === 0 ? { comment: "ü".repeat(random.int(200)), mtime: "1.5" } : null
    const size = [0, 1, 511, 512, 513, 5000, 70_000][random.int(7)]!
    const header = { name, type, ...(type.endsWith("link") && { linkname: randomName(random) }), pax } as Header
    await new Promise<void>((resolve, reject) => {
      const done = (error?: Error | null) => (error ? reject(error) : resolve())
      if (type === "file") archive.entry(header, Buffer.alloc(size, 65 + i), done)
      else archive.entry(header, done)
    })
  }
  archive.finalize()
  await collected
  return Buffer.concat(chunks)
}

/** Sets the sum of a head that was changed, so that what it says is looked at. */
function seal(bytes: Buffer, at: number): void {
  bytes.fill(0x20, at + 148, at + 156)
  const sum = bytes.subarray(at, at + 512).reduce((total, byte) => total + byte, 0)
  bytes.write(`${sum.toString(8).padStart(6, "0")}\0 `, at + 148, "latin1")
}

const isAbout = (flag: number) => [0x78, 0x67, 0x4b, 0x4c, 0x4e].includes(flag)

/**
 * Heads with a byte that is not what it was. Left out: an extended header without content, after which tar-stream takes the
 * next entry's content for it (its `_longHeader` stays set).
 */
function mutate(bytes: Buffer, random: Random): Buffer | null {
  const changed = Buffer.from(bytes)
  const heads = headsIn(bytes)
  const at = heads[random.int(heads.length)]!
  const fields = [0, 100, 124, 125, 130, 134, 135, 156, 257, 262, 263, 345, random.int(512)]
  const values = [0, 0x20, 0x30, 0x37, 0x39, 0x80, 0xff, 0x78, 0x67, 0x4c, 0x35, random.int(256)]
  for (let i = random.int(3); i >= 0; i--) {
    changed[at + fields[random.int(fields.length)]!] = values[random.int(values.length)]!
  }
  if (random.int(4) > 0) seal(changed, at)
  const size = changed.toString("latin1", at + 124, at + 136)
  return isAbout(changed[at + 156]!) && !/^0*[1-7][0-7]*[ \0]/.test(size) ? null : changed
}

function headsIn(bytes: Buffer): number[] {
  const heads: number[] = []
  for (let at = 0; at < bytes.length; at += 512)
    if (bytes.toString("latin1", at + 257, at + 262) === "ustar") heads.push(at)
  return heads
}

test("archives by tar-stream, whole, cut and with heads that were changed", async () => {
  const random = new Random(17)
  let compared = 0
  for (let round = 0; round < 60; round++) {
    const bytes = await randomArchive(random)
    await expectAlike(bytes, `round ${round}`)
    expect(walked(bytes).damage).toBe(null)
    for (let i = 0; i < 3; i++) await expectAlike(bytes.subarray(0, random.int(bytes.length)), `round ${round}, cut`)
    for (let i = 0; i < 10; i++) {
      const changed = mutate(bytes, random)
      if (changed) await expectAlike(changed, `round ${round}, change ${i}`)
      if (changed) compared++
    }
  }
  expect(compared).toBeGreaterThan(400)
})

function packedBySystem(format: string): Buffer {
  const folder = mkdtempSync(join(tmpdir(), "tar-walk-"))
  try {
    const long = format === "gnu" || format === "pax" ? [`${"n".repeat(120)}/1.jpg`, `${"m".repeat(99)}.txt`] : []
    const split = format === "v7" ? [] : [`${"f".repeat(80)}/${"g".repeat(80)}.jpg`]
    const names = ["a/0.jpg", "a/0.txt", "größe.txt", "noext", ".hid", ...long, ...split]
    for (const [i, name] of names.entries()) {
      mkdirSync(dirname(join(folder, "in", name)), { recursive: true })
      writeFileSync(join(folder, "in", name), "x".repeat(300 * i))
    }
    execFileSync("tar", ["-C", join(folder, "in"), `--format=${format}`, "-cf", join(folder, "a.tar"), "."])
    return readFileSync(join(folder, "a.tar"))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test.each(["v7", "oldgnu", "gnu", "ustar", "pax"])("archives by the system's tar: %s", async (format) => {
  const bytes = packedBySystem(format)
  await expectAlike(bytes, format)
  // Heads without a magic number are of the oldest form, which has never been read.
  expect(walked(bytes).entries.length > 5).toBe(format !== "v7")
  const random = new Random(3)
  for (let i = 0; i < 200 && format !== "v7"; i++) {
    const changed = mutate(bytes, random)
    if (changed) await expectAlike(changed, `${format}, change ${i}`)
  }
})

const binary = Buffer.concat([Buffer.from("b"), Buffer.of(0xff, 0xfe), Buffer.from(".txt")])
const binaryPax = Buffer.concat([Buffer.from("17 path="), binary, Buffer.from("\n")])

test.each<[string, Uint8Array[], readonly (readonly [string, number])[]]>([
  [
    "a name and a size in fields",
    [tarEntry("p", paxField("path", "e.txt") + paxField("size", "3"), "x"), tarEntry("z", "one")],
    [["e.txt", 3]],
  ],
  [
    "fields for all entries hold where there are own ones",
    [
      tarEntry("p", paxField("path", "all.txt"), "g"),
      tarEntry("a.txt", "one"),
      tarEntry("p", paxField("mtime", "1"), "x"),
      tarEntry("b.txt", "two"),
    ],
    [
      ["a.txt", 3],
      ["all.txt", 3],
    ],
  ],
  ["a name of bytes that are not UTF-8", [tarEntry("p", binaryPax, "x"), tarEntry("z", "one")], [["b\xff\xfe.txt", 3]]],
  ["the same in the head", [tarEntry(binary, "one")], [["b\xff\xfe.txt", 3]]],
  [
    "GNU's long name",
    [tarEntry("././@LongLink", `${"l".repeat(150)}.txt\0`, "L"), tarEntry("z", "one")],
    [[`${"l".repeat(150)}.txt`, 3]],
  ],
  [
    "a field that is damaged ends the fields",
    [tarEntry("p", `${paxField("path", "a.txt")}x y\n`, "x"), tarEntry("z", "one")],
    [["a.txt", 3]],
  ],
  [
    "blocks of zeros between entries",
    [tarEntry("a.txt", "one"), Buffer.alloc(2048), tarEntry("b.txt", "two")],
    [
      ["a.txt", 3],
      ["b.txt", 3],
    ],
  ],
])("%s", async (what, entries, expected) => {
  const bytes = Buffer.concat([...entries, tarEnd])
  expect(walked(bytes).entries.map(({ name, size }) => [name, size])).toEqual(expected)
  if (!what.includes("not UTF-8")) await expectAlike(bytes, what)
})

test("sizes in base 256, beyond 8 GiB and damaged", async () => {
  for (const [head, expected] of [
    [[0x80, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0], "Unexpected end of data"],
    [[0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 'the size of "a.txt" is damaged'],
    [[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe], "Invalid header"],
    [[0xfc, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3], 'the size of "a.txt" is damaged'],
  ] as const) {
    const bytes = Buffer.concat([tarEntry("a.txt", "one"), tarEnd])
    bytes.set(head, 124)
    seal(bytes, 0)
    expect(walked(bytes).damage).toBe(expected)
    await expectAlike(bytes, expected)
  }
})

test("an extended header without content says nothing, and one without end is refused", () => {
  const empty = Buffer.concat([tarEntry("p", "", "x"), tarEntry("a.txt", "one"), tarEntry("b.txt", "two"), tarEnd])
  expect(walked(empty).entries.map(({ name }) => name)).toEqual(["a.txt", "b.txt"])
  const endless = Buffer.concat([tarEntry("p", "", "x", 2 ** 22 + 1), tarEnd])
  expect(walked(endless).damage).toBe("Header exceeds max size")
  const cut = Buffer.concat([tarEntry("p", "", "x", 2 ** 22), tarEnd])
  expect(walked(cut).damage).toBe("Unexpected end of data")
})

test("heads without end hold nobody: the event loop has its turns", async () => {
  const size = 2 ** 29
  const zeros = new Uint8Array(2 ** 16)
  const first = tarEntry("a.txt", "one")
  const read = (at: number, length: number) =>
    at < first.length ? Buffer.concat([first, zeros]).subarray(at, at + length) : zeros.subarray(0, length)
  let turns = 0
  const timer = setInterval(() => turns++, 1)
  const { samples, damage } = await indexTar({ name: "zeros.tar", size, read })
  clearInterval(timer)
  expect([[...samples.keys()], damage]).toEqual([["a"], null])
  expect(turns).toBeGreaterThan(2)
})

test("fields for all entries are bounded before they are joined to an entry's own", () => {
  const many = Array.from({ length: 1001 }, (_, i) => paxField(`x${i}`, "1")).join("")
  const own = tarEntry("p", paxField("mtime", "1"), "x")
  const bytes = Buffer.concat([
    tarEntry("p", many, "g"),
    tarEntry("a.txt", "one"),
    own,
    tarEntry("b.txt", "two"),
    tarEnd,
  ])
  const { entries, damage } = walked(bytes)
  expect([entries.map(({ name }) => name), damage]).toEqual([["a.txt"], "a header has more than 1000 fields"])
})

test("of large files the heads are read alone, and small ones with few reads", () => {
  const large = Array.from({ length: 50 }, (_, i) => [
    tarEntry(`${i}.jpg`, "x".repeat(70_000)),
    tarEntry(`${i}.txt`, "a"),
    tarEntry(`${i}.json`, "{}"),
  ])
  const bytes = Buffer.concat([...large.flat(), tarEnd])
  const { read, entries } = walked(bytes)
  expect(entries.length).toBe(150)
  expect(read / bytes.length).toBeLessThan(0.025)
  const small = Buffer.concat([...Array.from({ length: 3000 }, (_, i) => tarEntry(`${i}.txt`, "a")), tarEnd])
  let reads = 0
  const source = {
    name: "a",
    size: small.length,
    read(at: number, length: number) {
      reads++
      return small.slice(at, at + length)
    },
  }
  expect([...new TarWalk(source).entries()].length).toBe(3000)
  expect(reads).toBeLessThan(70)
})

test("a walk may begin at any entry, and go on elsewhere", () => {
  const entries = [tarEntry("p", paxField("path", "long.txt"), "x"), tarEntry("z", "one"), tarEntry("b.txt", "two")]
  const bytes = Buffer.concat([...entries, tarEnd])
  const [first, second] = walkedEntries(bytes)
  expect([first!.start, first!.offset, first!.end, second!.start]).toEqual([0, 1536, 2048, 2048])
  const walk = new TarWalk({ name: "a", size: bytes.length, read: (at, length) => bytes.slice(at, at + length) })
  const names = [
    [second!.start, second!.end],
    [first!.start, first!.end],
  ].flatMap(([start, end]) => [...walk.entries(start, end)])
  expect(names.map(({ name }) => name)).toEqual(["b.txt", "long.txt"])
  expect(() => [...walk.entries(first!.start, first!.end - 512)]).toThrow("Unexpected end of data")
})

function walkedEntries(bytes: Buffer): TarEntry[] {
  return [
    ...new TarWalk({ name: "a", size: bytes.length, read: (at, length) => bytes.slice(at, at + length) }).entries(),
  ]
}
