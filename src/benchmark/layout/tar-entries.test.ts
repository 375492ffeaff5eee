import { createHash } from "node:crypto"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pack } from "tar-stream"
import { afterAll, expect, test } from "vitest"
import { Random } from "../../core/arrays/random.ts"
import { UserError } from "../../core/errors.ts"
import { readShard, type Sample, writeShard } from "../../data/shards.ts"
import { shardSamples } from "./shard-samples.ts"
import { tarEntries } from "./tar-entries.ts"

const folder = mkdtempSync(join(tmpdir(), "tar-entries-"))
afterAll(() => rmSync(folder, { recursive: true }))

const path = join(folder, "0.tar")

/** Names, and bytes as text or as their hash. */
async function entriesOf(bytes: Uint8Array): Promise<[string, string][]> {
  writeFileSync(path, bytes)
  const found: [string, string][] = []
  for await (const entries of tarEntries(path, () => "own", "SHARD"))
    for (const { name, bytes } of entries) found.push([name, digest(bytes)])
  return found
}

function digest(bytes: Uint8Array): string {
  return bytes.length < 10 ? Buffer.from(bytes).toString() : createHash("sha1").update(bytes).digest("hex")
}

/** Bytes that differ from place to place and from seed to seed. */
function noise(length: number, seed: number): Buffer {
  return Buffer.alloc(length, createHash("sha512").update(String(seed)).digest())
}

async function keysOf(names: readonly string[], isNumbered?: boolean) {
  const archive = pack()
  for (const name of names) archive.entry({ name }, name)
  archive.finalize()
  writeFileSync(path, await bytesOf(archive as AsyncIterable<Uint8Array>))
  const found: Record<string, string[]> = {}
  for await (const samples of shardSamples(path, "SHARD", isNumbered))
    for (const { key, members } of samples) found[key] = [...members.keys()]
  return found
}

async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const chunk of chunks) parts.push(chunk)
  return Buffer.concat(parts)
}

/** Archives by tar-stream: long names in PAX headers, sizes around a block and around the piece that is read at once. */
async function archive(random: Random): Promise<{ bytes: Buffer; files: [string, Buffer][] }> {
  const sizes = [0, 1, 511, 512, 513, 2000, 2 ** 20 - 512, 2 ** 20 - 1, 2 ** 20 + 513, 3_000_000]
  const names = ["a.jpg", `${"long/".repeat(40)}b.jpg`, "ümlaut 画.txt", `${"x".repeat(99)}`, "d/./e.npy"]
  const files = Array.from({ length: 12 }, (_, i): [string, Buffer] => {
    return [`${i}${random.pick(names)}`, noise(random.pick(sizes), i)]
  })
  const packing = pack()
  for (const [name, bytes] of files) packing.entry({ name }, bytes)
  packing.entry({ name: "folder/", type: "directory" })
  packing.finalize()
  return { bytes: await bytesOf(packing as AsyncIterable<Uint8Array>), files }
}

test("names and bytes are those that were packed, whatever their lengths", async () => {
  for (let seed = 0; seed < 6; seed++) {
    const { bytes, files } = await archive(new Random(seed))
    expect(await entriesOf(bytes)).toEqual(files.map(([name, each]) => [name, digest(each)]))
  }
})

/** A header block; fields are [offset, text]. */
function header(size: number, fields: readonly (readonly [number, string])[]): Buffer {
  const head = Buffer.alloc(512)
  head.write(`${size.toString(8).padStart(11, "0")} `, 124)
  for (const [at, text] of fields) head.write(text, at, "latin1")
  head.write(" ".repeat(8), 148)
  const sum = head.reduce((total, byte) => total + byte, 0)
  head.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148)
  return head
}

const padded = (text: string) => Buffer.concat([Buffer.from(text), Buffer.alloc(-text.length & 511)])
const end = Buffer.alloc(1024)

test("ustar's prefixes, GNU's long names and sizes of PAX, as other programs write them", async () => {
  const long = `${"folder/".repeat(30)}0.cls`
  const pax = "14 path=0.jpg\n"
  const bytes = Buffer.concat([
    ...[header(1, [[0, "0.cls"], [156, "0"], [257, "ustar\x0000"], [345, "posix/path"]]), padded("1")],
    // GNU's archives have other fields where POSIX has the prefix.
    ...[header(1, [[0, "1.cls"], [156, "0"], [257, "ustar  \0"], [345, "times"]]), padded("2")],
    ...[header(long.length + 1, [[0, "././@LongLink"], [156, "L"]]), padded(`${long}\0`)],
    ...[header(1, [[0, "cut"], [156, "0"]]), padded("3")],
    ...[header(pax.length, [[0, "PaxHeaders/x"], [156, "x"]]), padded(pax)],
    ...[header(1, [[0, "other"], [156, "0"]]), padded("4")],
    ...[header(0, [[0, "link.jpg"], [156, "2"]]), header(3, [[0, "old.txt"]]), padded("old"), end],
  ]) // biome-ignore format: rows
  expect(await entriesOf(bytes)).toEqual([
    ["posix/path/0.cls", "1"],
    ["1.cls", "2"],
    [long, "3"],
    ["0.jpg", "4"],
    ["old.txt", "old"],
  ])
})

test("the same samples as tar-stream reads", async () => {
  const samples = Array.from({ length: 40 }, (_, i): Sample => {
    const picture = noise(new Random(i).int(100_000), i)
    return { key: `part/s${i}`, members: new Map([["jpg", picture], ["cls", Buffer.from(`${i}`)]]) } // biome-ignore format: a row
  })
  await writeShard(path, samples)
  const plain = ({ key, members }: Sample) => [key, ...[...members].map(([name, bytes]) => `${name} ${digest(bytes)}`)]
  const [ours, theirs]: [string[][], string[][]] = [[], []]
  for await (const some of shardSamples(path, "SHARD")) ours.push(...some.map(plain))
  for await (const sample of readShard(path)) theirs.push(plain(sample))
  expect(ours).toEqual(theirs)
  expect(ours.length).toBe(40)
})

test("keys end at the first dot, or at the last where nothing else has a known extension", async () => {
  expect(
    await keysOf(["a/s1.cls", "a/s1.JPG", "a/s1.mask.png", "./b/s2.jpg", "b/s2.cls", "README", "._s2.jpg"]),
  ).toEqual({
    "a/s1": ["cls", "jpg", "mask.png"],
    "b/s2": ["jpg", "cls"],
  })
  expect(await keysOf(["v2.00001.cls", "v2.00001.jpg", "v2.00002.cls", "v2.00002.jpg", "dir.d/x.jpg"])).toEqual({
    "v2.00001": ["cls", "jpg"],
    "v2.00002": ["cls", "jpg"],
    "dir.d/x": ["jpg"],
  })
  expect(await keysOf(["s1.0.jpg", "s1.1.png", "s1.json"], true)).toEqual({ s1: ["0.jpg", "1.png", "json"] })
})

test.each([
  ["empty", (_: Buffer) => Buffer.alloc(0), "SHARD is empty"],
  ["cut within a file", (whole: Buffer) => whole.subarray(0, 1500), "SHARD is not a complete tar archive (no end mark after 1500 bytes)"],
  ["cut, and zeros after it", (whole: Buffer) => Buffer.concat([whole.subarray(0, 1024), Buffer.alloc(512)]), 'SHARD is not a complete tar archive (it ends within "s0.jpg")'],
  ["without an end mark", (whole: Buffer) => whole.subarray(0, 2560), "SHARD is not a complete tar archive (no end mark after 2560 bytes)"],
  ["a picture in place of the archive", (_: Buffer) => Buffer.concat([Buffer.alloc(512, 0xff), end]), "SHARD is not a complete tar archive (no header at byte 0)"],
  ["a header with another byte", (whole: Buffer) => Buffer.from(whole.map((byte, i) => (i === 3 ? byte ^ 1 : byte))), "SHARD is not a complete tar archive (no header at byte 0)"],
  ["a file of 5 GB that is not there", (_: Buffer) => Buffer.concat([header(5e9, [[0, "s.jpg"], [156, "0"]]), end]), 'SHARD is not a complete tar archive (it ends within "s.jpg")'],
  ["a name of MiBs", (_: Buffer) => Buffer.concat([header(2 ** 21, [[156, "L"]]), Buffer.alloc(2 ** 21, 97), end]), "SHARD is not a complete tar archive (an extended header of 2097152 bytes)"],
  ["a name of thousands of letters", (_: Buffer) => Buffer.concat([header(5000, [[156, "L"]]), Buffer.alloc(5120, 97), header(0, [[156, "0"]]), end]), "SHARD: a name has 5000 letters, more than 4096"],
])("%s is one line that names the shard", async (_, damage, message) => {
  const whole = Buffer.concat([header(1700, [[0, "s0.jpg"], [156, "0"]]), Buffer.alloc(2048, 7), end])
  const error = await entriesOf(damage(whole)).catch((error: unknown) => error)
  expect(error).toBeInstanceOf(UserError)
  expect((error as UserError).message).toBe(message)
}) // biome-ignore format: rows

test("a key that comes again is refused, and so is a member", async () => {
  await expect(keysOf(["a.jpg", "b.jpg", "a.cls"])).rejects.toThrow('SHARD: "a" occurs twice')
  await expect(keysOf(["a.jpg", "a.JPG"])).rejects.toThrow('SHARD: "a.jpg" occurs twice')
})

test("whatever is damaged, reading ends: with the files, or with one line", async () => {
  const random = new Random(9)
  const { bytes } = await archive(new Random(1))
  const whole = bytes.subarray(0, 60_000)
  let refused = 0
  for (let i = 0; i < 300; i++) {
    const damaged = Buffer.concat([whole.subarray(0, random.int(whole.length)), end])
    for (let k = random.int(4); k > 0; k--) damaged[random.int(Math.min(damaged.length, 2048))] = random.int(256)
    const error = await entriesOf(damaged).catch((error: unknown) => error)
    if (Array.isArray(error)) continue
    refused++
    expect(error).toBeInstanceOf(UserError)
    expect((error as UserError).message).toMatch(/^SHARD[^\n]*$/)
  }
  expect(refused).toBeGreaterThan(200)
})
