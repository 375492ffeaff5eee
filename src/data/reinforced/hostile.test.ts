/** Small shards that ask for all memory or time: refused before it is taken, sample by sample. */
import { execFile } from "node:child_process"
import { mkdtemp, open, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { gzipSync } from "node:zlib"
import { afterAll, beforeAll, expect, test } from "vitest"
import {
  compactZeros,
  fieldsOfZeros,
  gzipMebibytes,
  npzZeros,
  paxField,
  tarEnd,
  tarEntry,
  torchViews,
  zstdRuns,
} from "../../../test/hostile.ts"
import { collect, reinforcedSample, tarOf } from "../../../test/reinforced.ts"
import { Random } from "../../core/arrays/random.ts"
import { UserError } from "../../core/errors.ts"
import { readEmbeddings, writeEmbeddings } from "./embeddings.ts"
import { recordOfSample } from "./jsonl/json-record.ts"
import { freeEmbeddingBytes, longestText, mostEmbeddingBytes } from "./sample-budget.ts"
import { membersOfSample } from "./tar/members.ts"

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hostile-"))
})
afterAll(() => rm(folder, { recursive: true }))

interface Reading {
  readonly keys: readonly string[]
  readonly reasons: readonly string[]
  readonly error: string | null
  /** Peak memory of the whole process, in MiB. */
  readonly memory: number
}

/** Reads a shard in a process of its own, and ends it after 20 seconds. */
async function read(content: Uint8Array | string): Promise<Reading> {
  const path = join(folder, "shard")
  await writeFile(path, content)
  const reader = new URL("../../../dist/src/data/reinforced/read.js", import.meta.url)
  const code = `
    import { existsSync, readFileSync } from "node:fs"
    import { readSamples } from ${JSON.stringify(reader.href)}
    const [keys, reasons] = [[], []]
    let error = null
    try {
      for await (const { key } of readSamples(${JSON.stringify(path)}, ({ reason }) => reasons.push(reason))) keys.push(key)
    } catch (reason) {
      if (reason.name !== "UserError") throw reason
      error = reason.message
    }
    // The peak size that Linux reports for a process may be that of the one it was forked from.
    const status = existsSync("/proc/self/status") ? readFileSync("/proc/self/status", "utf8") : ""
    const own = /VmHWM:\\s*(\\d+)/.exec(status)
    const memory = (own ? Number(own[1]) : process.resourceUsage().maxRSS) / 1024
    console.log(JSON.stringify({ keys, reasons: reasons.slice(0, 3), error, memory }))`
  const script = join(folder, "read.mjs")
  await writeFile(script, code)
  const { stdout } = await promisify(execFile)(process.execPath, [script], { timeout: 20_000, maxBuffer: 2 ** 24 })
  return JSON.parse(stdout) as Reading
}

/** Node itself takes some 55; the files of 100 MB are read whole. */
const mostMebibytes = 256

function sampleWith(name: string, content: Uint8Array | string): Promise<Buffer> {
  const text = name === "txt" ? [] : [["b.txt", "two"] as const]
  return tarOf([["a.txt", "one"], ...text, [`b.${name}`, content], ["c.txt", "three"]])
}

const large = { count: 100, rows: 1024, width: 4096 }

test.each<[string, string, () => Uint8Array | string, RegExp]>([
  ["compact arrays of 16 MiB each", "cemb", () => compactZeros(large), /^cemb: with "\d+_emb" it would take \d+ bytes/],
  [
    "2^31 compact rows of nothing",
    "cemb",
    () => compactZeros({ count: 1, rows: 2 ** 31, width: 0 }),
    /^cemb: with "0_emb" it would take 8589934592 bytes/,
  ],
  [
    "no compact rows of 2^32 values",
    "cemb",
    () => compactZeros({ count: 1, rows: 0, width: 2 ** 32 - 1 }),
    /^cemb: "0_emb" has rows of 4294967295 values/,
  ],
  [
    "npz arrays of 16 MiB each",
    "npz",
    () => npzZeros({ ...large, count: 20 }),
    /^npz: with "\d+_emb\.npy" it would take \d+ bytes/,
  ],
  [
    "npz rows of nothing",
    "npz",
    () => npzZeros({ count: 1, rows: 2 ** 31, width: 0 }),
    /^npz: with "0_emb" it would take 85899\d+ bytes/,
  ],
  [
    "tensors of one storage",
    "pth.gz",
    () => torchViews({ count: 200, rows: 128, width: 4096 }),
    /^pth\.gz: with tensor "\d+_emb" it would take \d+ bytes/,
  ],
  ["a tensor's file of 512 MiB", "pth.gz", () => gzipMebibytes(512), /^pth\.gz: cannot be unzipped/],
  [
    "views of nothing",
    "paug.json",
    () => `{"param_aug":[${"[],".repeat(2 ** 20)}[]]}`,
    /^paug\.json: it has more values than are read: \d+ in 3145746 letters$/,
  ],
  [
    "views in a text",
    "paug.json",
    () => JSON.stringify({ param_aug: `[${"[],".repeat(2 ** 20)}[]]` }),
    /^paug\.json: param_aug: it has more values than are read: \d+ in 3145732 letters$/,
  ],
  ["JSON of 16 MiB", "json", () => `{"a":"${"b".repeat(2 ** 24)}"}`, /^json is 16777224 long, more than 16777216$/],
  [
    "JSON a million levels deep",
    "syn.json",
    () => `{"a":${"[".repeat(1e6)}${"]".repeat(1e6)}}`,
    /^syn\.json: it nests deeper than 128 levels$/,
  ],
])("in a tar: %s", { timeout: 30_000 }, async (_, extension, content, reason) => {
  // biome-ignore format: a row each
  const { keys, reasons, memory } = await read(await sampleWith(extension, content()))
  expect(keys).toEqual(["a", "c"])
  expect(reasons).toEqual([expect.stringMatching(reason)])
  expect(memory).toBeLessThan(mostMebibytes)
})

test.each<[string, string, () => Uint8Array | string, string]>([
  [
    "a synthetic caption of 8 MB",
    "syn.json",
    () => JSON.stringify({ syn_text: ["a".repeat(8e6)] }),
    "a caption is cut after 65536 letters",
  ],
  ["a caption of 100 MB", "txt", () => "a".repeat(1e8), "a caption is cut after 65536 letters"],
  [
    "a URL of 100 MB",
    "url.txt",
    () => "a".repeat(1e8),
    "url.txt is 100000000 long, more than 65536; it is carried along unread",
  ],
])("in a tar, a sample does without %s", { timeout: 30_000 }, async (_, extension, content, reason) => {
  const { keys, reasons, memory } = await read(await sampleWith(extension, content()))
  expect(keys).toEqual(["a", "b", "c"])
  expect(reasons).toEqual([reason])
  expect(memory).toBeLessThan(mostMebibytes)
})

test("a damaged field that a sample can do without loses none of 200 samples", async () => {
  const mask = Array.from({ length: 256 }, () => new Array<number>(256).fill(1))
  const odd: Readonly<Record<number, Readonly<Record<string, string>>>> = {
    0: { txt: "é".repeat(70_000) },
    1: { json: JSON.stringify({ mask }) },
    2: { "url.txt": `data:image/jpeg;base64,${"A".repeat(100_000)}` },
    3: { json: '{"cut' },
    4: { json: JSON.stringify({ note: "a".repeat(9_000_000) }) },
    5: { json: `{"a":"${"b".repeat(2 ** 24)}"}` },
    6: { json: JSON.stringify({ url: "a".repeat(100_000) }) },
  }
  const files = Array.from({ length: 200 }, (_, i) => {
    const members = { jpg: Uint8Array.of(0xff, 0xd8, i), txt: `picture ${i}`, ...odd[i] }
    return Object.entries(members).map(([extension, content]) => [`${i}.${extension}`, content] as const)
  })
  const path = join(folder, "odd.tar")
  await writeFile(path, await tarOf(files.flat()))
  const { samples, problems } = await collect(path)
  expect(samples.map(({ key }) => key)).toEqual(Array.from({ length: 200 }, (_, i) => String(i)))
  expect(samples[0]!.texts).toEqual(["é".repeat(65_536)])
  expect(samples[1]!.fields).toEqual({ mask })
  expect(samples[6]).toMatchObject({ url: null, fields: { url: "a".repeat(100_000) } })
  expect(samples[4]!.fields.note).toHaveLength(9_000_000)
  expect(problems).toEqual([
    { key: "0", action: "kept", reason: "a caption is cut after 65536 letters" },
    { key: "2", action: "kept", reason: "url.txt is 100023 long, more than 65536; it is carried along unread" },
    { key: "3", action: "kept", reason: expect.stringMatching(/^json is damaged \(.*\); it is carried along unread$/) },
    { key: "5", action: "kept", reason: "json is 16777224 long, more than 16777216; it is carried along unread" },
  ])
  // Members that were not read are written again unchanged.
  for (const [i, extension] of [
    [2, "url.txt"],
    [3, "json"],
    [5, "json"],
  ] as const) {
    // biome-ignore format: pairs
    expect(samples[i]!.url).toBeNull()
    expect(Buffer.from(membersOfSample(samples[i]!, "npz").get(extension)!).toString()).toBe(odd[i]![extension])
  }
  expect(recordOfSample(samples[6]!).url).toBe("a".repeat(100_000))
})
test("a sample of more bytes than can be held is dropped, whether they are there or not", async () => {
  const path = join(folder, "sparse.tar")
  const file = await open(path, "w")
  const half = 150 * 2 ** 20
  let at = 0
  for (const [name, size] of [
    ["a.txt", 3],
    ["b.jpg", half],
    ["b.tif", half],
    ["c.txt", 3],
  ] as const) {
    // biome-ignore format: files
    await file.write(tarEntry(name, size === 3 ? "one" : "", "0", size), 0, null, at)
    at += 512 + Math.ceil(size / 512) * 512
  }
  await file.truncate(at + 1024)
  await file.close()
  const { samples, problems } = await collect(path)
  expect(samples.map(({ key }) => key)).toEqual(["a", "c"])
  expect(problems).toMatchObject([{ key: "b", reason: `its members have ${2 * half} bytes, more than 268435456` }])
})

const first = tarEntry("a.txt", "one")

test.each<[string, () => Uint8Array[], RegExp]>([
  [
    "a name of 1 MiB for all that follows",
    () => [
      tarEntry("pax", paxField("path", `${"./".repeat(2 ** 19)}b`), "g"),
      ...Array.from({ length: 500 }, () => [
        tarEntry("pax", paxField("mtime", "1"), "x"),
        tarEntry("b.txt", "two"),
      ]).flat(),
    ],
    /a name has 1048577 letters, more than 4096/,
  ],
  [
    "a long name",
    () => [tarEntry("././@LongLink", "a/".repeat(2 ** 20), "L"), tarEntry("b.txt", "two")],
    /a name has 2097152 letters/,
  ],
  [
    "100,000 fields for all that follows",
    () => [
      tarEntry("pax", Array.from({ length: 1e5 }, (_, i) => paxField(`x${i}`, "1")).join(""), "g"),
      ...Array.from({ length: 500 }, () => [
        tarEntry("pax", paxField("mtime", "1"), "x"),
        tarEntry("b.txt", "two"),
      ]).flat(),
    ],
    /a header has more than 1000 fields/,
  ],
  ["a header of 64 MiB", () => [tarEntry("pax", "", "x", 2 ** 26), Buffer.alloc(2 ** 20)], /Header exceeds max size/],
  [
    "a member larger than the file",
    () => [tarEntry("b.txt", "two", "0", 2 ** 32)],
    /b\.txt has 1536 of 4294967296 bytes/,
  ],
])("in a tar: %s ends the reading there", { timeout: 30_000 }, async (_, entries, reason) => {
  // biome-ignore format: a row each
  const { keys, reasons, memory } = await read(Buffer.concat([first, ...entries(), tarEnd]))
  expect(keys).toEqual(["a"])
  expect(reasons).toEqual([expect.stringMatching(reason)])
  expect(memory).toBeLessThan(mostMebibytes)
})

const before = '{"uid":"a"}\n'
const after = '\n{"uid":"c"}\n'

test.each<[string, () => string, RegExp]>([
  [
    "40 fields of gzip'd embeddings",
    () => fieldsOfZeros({ count: 40, rows: 1024, width: 4096 }),
    /^line 2: .*"0_emb": cannot be unzipped/,
  ],
  [
    "40 smaller ones",
    () => fieldsOfZeros({ count: 40, rows: 128, width: 1024 }),
    /^line 2: its embeddings: with "\d+_emb" it would take \d+ bytes/,
  ],
  [
    "a million objects",
    () => `{"uid":"b","x":[${"{},".repeat(1e6)}1]}`,
    /^line 2: it has more values than are read: \d+ in \d+ letters$/,
  ],
  [
    "a million levels",
    () => `{"uid":"b","x":${"[".repeat(1e6)}${"]".repeat(1e6)}}`,
    /^line 2: it nests deeper than 128 levels$/,
  ],
  ["a key of 20 MB", () => JSON.stringify({ uid: "b".repeat(2e7) }), /^line 2: "uid" has more than 4096 letters/],
  [
    "a line of 70 MB",
    () => JSON.stringify({ uid: "b", image: "A".repeat(7e7) }),
    /^line 2: its \d+ bytes are more than a line may have/,
  ],
])("in JSONL: %s", { timeout: 30_000 }, async (_, line, reason) => {
  // biome-ignore format: a row each
  const { keys, reasons, memory } = await read(before + line() + after)
  expect(keys).toEqual(["a", "c"])
  expect(reasons).toEqual([expect.stringMatching(reason)])
  expect(memory).toBeLessThan(mostMebibytes)
})

test("in JSONL, a caption of 20 MB is cut, and a URL of as many is carried along", { timeout: 30_000 }, async () => {
  const long = "a".repeat(2e7)
  const lines = [
    { uid: "b", text: long },
    { uid: "d", url: long },
  ].map((record) => JSON.stringify(record))
  const { keys, reasons, memory } = await read(before + lines.join("\n") + after)
  expect(keys).toEqual(["a", "b", "d", "c"])
  expect(reasons).toEqual([
    "line 2: a caption is cut after 65536 letters",
    'line 3: "url" has 20000000 letters, more than 65536; it is carried along unread',
  ])
  // A line is there as bytes, as a text, and as the text that was cut out of it.
  expect(memory).toBeLessThan(mostMebibytes)
})

/** A whole frame before. */
const start = Buffer.concat([Buffer.from("28b52ffd0068", "hex"), Buffer.of((before.length << 3) | 1, 0, 0), Buffer.from(before)]) // biome-ignore format: one line

test.each<[string, () => Uint8Array, RegExp]>([
  [
    "64 KiB of blocks that repeat a byte",
    () => zstdRuns({ count: 2 ** 14, size: 2 ** 17 }),
    /^after line 1: zstd: with .* it would take \d+ bytes/,
  ],
  [
    "blocks that are larger than any",
    () => zstdRuns({ count: 2 ** 14, size: 2 ** 20 }),
    /^after line 1: a block of zstd has 1048576 bytes, more than 131072/,
  ],
  ["line ends", () => zstdRuns({ count: 2 ** 14, size: 2 ** 17, letter: "\n" }), /^after line 1: zstd: .* would take/],
  [
    "frames with a window each",
    () => zstdRuns({ count: 6000, size: 1, frames: true }),
    /^after line 1: zstd: with (the window of a frame|another block) it would take \d+ bytes/,
  ],
  [
    "another frame with a window of 1 GiB",
    () => Buffer.from("28b52ffd00a0010000", "hex"),
    /^after line 1: zstd asks for a window of 1024 MiB/,
  ],
])("in zstd: %s", { timeout: 30_000 }, async (_, frames, reason) => {
  // biome-ignore format: a row each
  const { keys, reasons, memory } = await read(Buffer.concat([start, frames()]))
  expect(keys).toEqual(["a"])
  expect(reasons.at(-1)).toMatch(reason)
  expect(memory).toBeLessThan(mostMebibytes)
})

test("zstd does not keep what was read: a file of 200 MB, and four million blocks of nothing", {
  timeout: 60_000,
}, async () => {
  const block = Buffer.alloc(2 ** 17, "x")
  const line = Buffer.from('{"uid":"b","text":"')
  const raw = (bytes: Uint8Array, isLast = 0) => {
    const head = Buffer.alloc(3)
    head.writeUIntLE((bytes.length << 3) | isLast, 0, 3)
    return [head, bytes]
  }
  const many = Array.from({ length: 1600 }, (_, i) => [...raw(Buffer.concat([Buffer.from(`{"uid":"${i}","text":"`), block.subarray(100), Buffer.from('"}\n')]))]) // biome-ignore format: a line
  const full = await read(Buffer.concat([Buffer.from("28b52ffd0068", "hex"), ...many.flat(), ...raw(Buffer.from(before), 1)])) // biome-ignore format: a line
  expect([full.keys.length, full.keys.at(-1)]).toEqual([1601, "a"])
  expect(full.memory).toBeLessThan(mostMebibytes)
  // A window of 1 KiB: so many larger ones would be refused.
  const few = Buffer.concat([
    Buffer.from("28b52ffd0000", "hex"),
    ...raw(Buffer.from(before)),
    Buffer.alloc(3 * 2 ** 22),
  ])
  const empty = await read(Buffer.concat([few, ...raw(line), ...raw(Buffer.from('x"}\n'), 1)]))
  expect(empty.keys).toEqual(["a", "b"])
  expect(empty.memory).toBeLessThan(mostMebibytes)
})

test("gzip of almost only line ends stops where it exceeds what the file's size allows", {
  timeout: 30_000,
}, async () => {
  const lines = gzipSync(Buffer.alloc(2 ** 26, "\n"))
  const { keys, reasons, memory } = await read(Buffer.concat([gzipSync(before), lines]))
  expect(keys).toEqual(["a"])
  expect(reasons).toEqual([expect.stringMatching(/^after line \d+: gzip: with what is unpacked next it would take/)])
  expect(memory).toBeLessThan(mostMebibytes)
})

test("a file of short lines without samples is not a shard", { timeout: 30_000 }, async () => {
  const { keys, error, memory } = await read(before + "x\n".repeat(4e6))
  expect(keys).toEqual(["a"])
  expect(error).toMatch(/shard: 10001 lines, more than hold samples, are damaged \(line 2: not JSON/)
  expect(memory).toBeLessThan(mostMebibytes)
})

test.each(["npz", "pth.gz", "compact"] as const)("%s: what is published, and much more, is read", async (kind) => {
  const { embeddings } = reinforcedSample("a", 1, { views: 30, captions: 5, width: 3072 })
  expect([...(await readEmbeddings(kind, writeEmbeddings(kind, embeddings))).keys()]).toEqual([...embeddings.keys()])
  // Vectors of zeros shrink to nothing, and a sample has some all the same.
  const zeros = { rows: 36, width: 3072, values: new Float32Array(36 * 3072), dtype: "float32" } as const
  const read = await readEmbeddings(kind, writeEmbeddings(kind, new Map([["image_emb", zeros]])))
  expect(read.get("image_emb")!.values).toEqual(zeros.values)
})

test.each(["npz", "pth.gz", "compact"] as const)(
  "%s: 3,000 views of two teachers are read",
  async (kind) => {
    const random = new Random(1)
    const values = Float32Array.from({ length: 3000 * 3072 }, () => random.int(8000) / 40_000)
    const views = { rows: 3000, width: 3072, values, dtype: "float32" } as const
    const read = (await readEmbeddings(kind, writeEmbeddings(kind, new Map([["image_emb", views]])))).get("image_emb")!
    expect([read.rows, read.width]).toEqual([3000, 3072])
    for (const i of [0, 12_345, values.length - 1]) expect(Math.abs(read.values[i]! - values[i]!)).toBeLessThan(1e-3)
  },
  60_000,
)

test("a budget grows with the stored bytes, up to the most that a sample may have", async () => {
  const rows = Math.floor(freeEmbeddingBytes / 6 / 1024)
  const arrays = { count: 1, rows, width: 1024 }
  expect((await readEmbeddings("compact", compactZeros(arrays))).get("0_emb")!.rows).toBe(rows)
  const more = { ...arrays, rows: rows + 64 }
  await expect(readEmbeddings("compact", compactZeros(more))).rejects.toThrow(UserError)
  expect(mostEmbeddingBytes).toBeGreaterThan(140 * 2 * 4 * 36 * 3072)
  expect(longestText).toBeGreaterThan(100 * 400)
})
