import { execFileSync } from "node:child_process"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"
import { afterAll, beforeAll, expect, test } from "vitest"
import { paxField, tarEnd, tarEntry } from "../../../test/hostile.ts"
import { collect, reinforcedSample, tarOf } from "../../../test/reinforced.ts"
import { UserError } from "../../core/errors.ts"
import { writeEmbeddings } from "./embeddings.ts"
import { encodeSamples } from "./encode.ts"
import type { ReinforcedSample } from "./sample.ts"
import { membersOfSample } from "./tar/members.ts"

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "read-"))
})
afterAll(() => rm(folder, { recursive: true }))

async function read(content: string | Uint8Array) {
  const path = join(folder, "shard")
  await writeFile(path, content)
  return collect(path)
}

const keys = (samples: readonly ReinforcedSample[]) => samples.map(({ key }) => key)
const jpg = Uint8Array.of(0xff, 0xd8, 0xff, 0)
const three = ["a", "b", "c"].map((key) => reinforcedSample(key, 1))

/** Members of a sample as files of a tar, changed or left out (null) by extension. */
function files(sample: ReinforcedSample, changes: Record<string, string | Uint8Array | null> = {}) {
  const members = new Map<string, string | Uint8Array | null>([
    ...membersOfSample(sample, "npz"),
    ...Object.entries(changes),
  ])
  return [...members].sort().flatMap(([extension, content]) => {
    return content === null ? [] : [[`${sample.key}.${extension}`, content] as const]
  })
}

test("members that are not side by side are put together, and reported once", async () => {
  const order = [["b.txt", "two"], ["a.txt", "one"], ["b.jpg", jpg], ["./a.JPEG", jpg], ["a.cls", "7"]] as const // biome-ignore format: files
  const { samples, problems } = await read(await tarOf(order))
  expect(samples).toMatchObject([
    { key: "b", texts: ["two"], image: { extension: "jpg", bytes: jpg } },
    { key: "a", texts: ["one"], image: { extension: "jpg", bytes: jpg } },
  ])
  expect(samples[1]!.others).toEqual(new Map([["cls", Uint8Array.of(0x37)]]))
  expect(problems).toEqual([
    {
      key: null,
      reason: "members of 2 of 2 samples (first: b) do not lie side by side; they were put together",
      action: "kept",
    },
  ])
})

test("where a key occurs twice the first sample stays", async () => {
  const { samples, problems } = await read(
    await tarOf([["a.txt", "one"], ["b.txt", "two"], ["./a.txt", "three"], ["b.TXT", "four"]]), // biome-ignore format: files
  )
  expect(samples.map(({ texts }) => texts[0])).toEqual(["one", "two"])
  expect(problems.filter(({ action }) => action === "dropped")).toEqual([
    { key: "a", reason: "the key occurs twice: ./a.txt came before; the first one stays", action: "dropped" },
    { key: "b", reason: "the key occurs twice: b.TXT came before; the first one stays", action: "dropped" },
  ])
})

test("keys with dots are dropped with advice; a picture beside a picture is carried along", async () => {
  const { samples, problems } = await read(
    await tarOf([["in/photo.v2.jpg", jpg], ["in/photo.v2.txt", "x"], ["0.jpg", jpg], ["0.small.jpg", jpg], ["1.mask.png", jpg], ["1.json", "{}"]]), // biome-ignore format: files
  )
  expect(keys(samples)).toEqual(["0", "1"])
  expect([...samples[0]!.others.keys(), ...samples[1]!.others.keys()]).toEqual(["small.jpg", "mask.png"])
  expect(problems).toEqual([
    {
      key: "in/photo.v2",
      reason:
        'the key has a dot, and a key ends at the first dot: it would be read as a part of "in/photo"; rename its files to in/photo_v2.*',
      action: "dropped",
    },
  ])
})

test("a truncated tar gives its whole samples and names the cut one, wherever it is cut", async () => {
  const whole = await tarOf(three.flatMap((sample) => files(sample)))
  const third = whole.lastIndexOf("c.json")
  const lastMember = whole.lastIndexOf("c.url.txt")
  for (let end = third; end < lastMember + 512; end += 256) {
    const { samples, problems } = await read(whole.subarray(0, end))
    const cut = problems.map(({ key, action }) => ({ key, action }))
    const isBefore = end < third + 512
    expect(keys(samples), `${end}`).toEqual(["a", "b"])
    expect(cut, `${end}`).toEqual([{ key: isBefore ? null : "c", action: "dropped" }])
  }
  const inMember = await read(whole.subarray(0, lastMember + 520))
  expect(inMember.problems).toEqual([
    { key: "c", reason: "the archive is cut short: c.url.txt has 8 of 25 bytes", action: "dropped" },
  ])
  const withoutEnd = await read(whole.subarray(0, lastMember + 1024))
  expect(keys(withoutEnd.samples)).toEqual(["a", "b", "c"])
  expect(withoutEnd.problems).toEqual([
    {
      key: null,
      reason: "the archive is cut short or damaged after sample c (it has no end mark)",
      action: "dropped",
    },
  ])
})

test("a damaged header is reported", async () => {
  const whole = await tarOf(three.flatMap((sample) => files(sample)))
  whole.fill(7, whole.lastIndexOf("c.json"), whole.lastIndexOf("c.json") + 200)
  const { samples, problems } = await read(whole)
  expect(keys(samples)).toEqual(["a", "b"])
  expect(problems).toHaveLength(1)
  expect(problems[0]!.reason).toMatch(/^the archive is cut short or damaged after sample b \(Invalid tar header/)
})

const manyViews = reinforcedSample("b", 1, { views: 4 })
const notNumbers = new Map([["image_emb", { ...three[1]!.embeddings.get("image_emb")!, values: new Float32Array(48).fill(Number.NaN) }]]) // biome-ignore format: one

test.each<[string, Record<string, string | Uint8Array | null>, string]>([
  ["json", { json: "{" }, "json is damaged"],
  ["json that is a list", { json: "[]" }, "json is not an object"],
  ["captions", { "syn.json": '{"syn_text": [1]}' }, 'syn.json: "syn_text" is not a list of captions'],
  [
    "views",
    { "paug.json": '{"param_aug": [[[0, 0, 0, 5], null]]}' },
    "paug.json: param_aug[0]: a crop is [top, left, height, width] in whole pixels, not",
  ],
  [
    "operations",
    { "paug.json": '{"param_aug": "[[[0, 0, 9, 5], [[14, 1]]]]"}' },
    "paug.json: param_aug[0]: an operation's index is 0 to 13, not",
  ],
  ["views under another name", { "paug.json": "{}" }, "paug.json has no param_aug"],
  ["npz", { npz: "PK nothing" }, "npz: the zip archive is damaged or cut short"],
  ["pth.gz", { npz: null, "pth.gz": "nothing" }, "pth.gz: cannot be unzipped (incorrect header check)"],
  ["cemb", { npz: null, cemb: "nothing at all" }, "cemb: it does not begin with CEMB"],
  ["text", { txt: Uint8Array.of(0x61, 0xe9) }, "txt, line 1 is not UTF-8"],
  [
    "rows of views",
    { npz: writeEmbeddings("npz", manyViews.embeddings) },
    '"image_emb" has 4 rows, and param_aug has 3',
  ],
  ["lacking views", { "paug.json": null }, '"image_emb" has 3 rows, and the views themselves (param_aug) are missing'],
  ["rows of captions", { "syn.json": null }, '"text_emb" has 3 rows, for 1 captions and 0 synthetic ones'],
  ["infinite embeddings", { npz: writeEmbeddings("npz", notNumbers) }, '"image_emb" has values that are not numbers'],
])("a sample whose %s is damaged is dropped with the reason", async (_, changes, reason) => {
  const shard = await tarOf([...files(three[0]!), ...files(three[1]!, changes), ...files(three[2]!)])
  const { samples, problems } = await read(shard)
  expect(keys(samples)).toEqual(["a", "c"])
  expect(problems).toMatchObject([{ key: "b", action: "dropped" }])
  expect(problems[0]!.reason).toContain(reason)
  expect(problems[0]!.reason).not.toContain("\n")
})

test("views as a JSON text, captions and pictures in any of their places", async () => {
  const views = JSON.stringify(three[0]!.paramAug)
  const { samples, problems } = await read(
    await tarOf([
      ...files(three[0]!, { "paug.json": JSON.stringify({ param_aug: views }) }),
      ["x.json", '{"caption": "of json", "url": "https://x", "width": 3}'],
      ["y.json", '{"texts": ["one", "two"]}'],
      ["z.webp", jpg],
    ]),
  )
  expect(problems).toEqual([])
  expect(samples[0]!.paramAug).toEqual(three[0]!.paramAug)
  expect(samples[1]).toMatchObject({ texts: ["of json"], url: "https://x", fields: { url: "https://x", width: 3 } })
  expect(samples[2]).toMatchObject({ texts: ["one", "two"], fields: {} })
  expect(samples[3]).toMatchObject({ texts: [], image: { extension: "webp" }, paramAug: null })
})

async function jsonl(): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  const format = { output: "jsonl", embeddings: "npz", textEmbeddings: "separate", images: true } as const
  for await (const chunk of encodeSamples(three, format)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Stored frames (RFC 8878), as compressors write data that they cannot shrink. */
function zstdStored(data: Uint8Array): Buffer {
  const blocks: Uint8Array[] = [Buffer.from("28b52ffd0050", "hex")]
  for (let at = 0; at < data.length; at += 1000) {
    const block = data.subarray(at, at + 1000)
    const isLast = at + 1000 >= data.length
    const head = Buffer.alloc(3)
    head.writeUIntLE((block.length << 3) | Number(isLast), 0, 3)
    blocks.push(head, block)
  }
  return Buffer.concat(blocks)
}

test("JSONL, plain, gzip'd (also in parts) and zstd'd (also in frames), gives the same samples", async () => {
  const text = await jsonl()
  const plain = await read(text)
  expect(keys(plain.samples)).toEqual(["a", "b", "c"])
  expect(plain.problems).toEqual([])
  const half = text.indexOf("\n") + 10
  const parts = [text.subarray(0, half), text.subarray(half)]
  const variants = [
    gzipSync(text),
    Buffer.concat(parts.map((part) => gzipSync(part))),
    zstdStored(text),
    Buffer.concat(parts.map(zstdStored)),
  ]
  for (const variant of variants) expect(await read(variant)).toEqual(plain)
})

test("what zstd itself compressed is read", async () => {
  const path = fileURLToPath(new URL("../../../test/fixtures/reinforced/captions.jsonl.zst", import.meta.url))
  const { samples, problems } = await collect(path)
  expect(problems).toEqual([])
  expect(samples.map(({ key }) => Number.parseInt(key, 16))).toEqual(Array.from({ length: 300 }, (_, i) => i))
  expect(samples[299]!.synTexts.get("syn_text")![0]).toBe(samples[299]!.texts[0])
})

test.each(["28b52ffd0070", "28b52ffd00d0", "28b52ffda000000001", "28b52ffde0ffffffffffffff00"])(
  "zstd that asks for much memory is refused: %s",
  async (header) => {
    await expect(read(Buffer.concat([Buffer.from(header, "hex"), Buffer.alloc(40)]))).rejects.toThrow(
      /holds no samples \(after line 0: zstd asks for a window of \d+ MiB, more than 8\)$/,
    )
  },
)

test("lines that are not samples are reported by number, and the others read", async () => {
  const lines = (await jsonl()).toString().split("\n")
  const damaged = lines[1]!.replace(/"image_emb":"[^"]{40}/, '"image_emb":"AAAA')
  const text = [lines[0], "", "{", "[]", '{"text": "no key"}', damaged, lines[0], lines[2], '{"uid": "cut'].join("\n")
  const { samples, problems } = await read(text)
  expect(keys(samples)).toEqual(["a", "c"])
  expect(problems.map(({ key, reason }) => [key, reason.replace(/\(.*\)/, "(...)")])).toEqual([
    [null, "line 3: not JSON (...)"],
    [null, "line 4: not an object"],
    [null, 'line 5: no "uid" and no "id"'],
    ["b", 'line 6: "image_emb": cannot be unzipped (...)'],
    ["a", "line 7: the key occurs twice; the first one stays"],
    [null, "line 9: not JSON (...)"],
  ])
})

test("compressed JSONL that breaks off gives the lines before", async () => {
  const text = Buffer.concat([await jsonl(), Buffer.alloc(200_000, "x")])
  for (const packed of [gzipSync(text, { level: 0 }), zstdStored(text)]) {
    const { samples, problems } = await read(packed.subarray(0, packed.length - 50_000))
    expect(keys(samples)).toEqual(["a", "b", "c"])
    expect(problems).toMatchObject([{ key: null, action: "dropped" }])
    expect(problems[0]!.reason).toMatch(/^after line 3: the (gzip|zstd) data are damaged or cut short/)
  }
})

test("other names of fields, and fields that only look like embeddings", async () => {
  const line = {
    id: 7,
    caption: "of it",
    embassy: "Oslo",
    my_captions: ["x"],
    num_captions: 2,
    members: { cls: "Nw==" },
  }
  const { samples, problems } = await read(JSON.stringify(line))
  expect(problems).toEqual([])
  expect(samples[0]).toMatchObject({
    key: "7",
    texts: ["of it"],
    fields: { embassy: "Oslo", num_captions: 2 },
    synTexts: new Map([["my_captions", ["x"]]]),
    others: new Map([["cls", Buffer.from("7")]]),
  })
})

test.each<[string, string | Uint8Array, string]>([
  ["an empty file", "", "is empty"],
  ["text", "not a shard", "is not a shard"],
  ["a web page", "<!DOCTYPE html><p>", "is a web page"],
  ["a git-lfs pointer", "version https://git-lfs.github.com/spec/v1\n", "is a git-lfs pointer"],
  ["an archive of nothing", new Uint8Array(1024), "holds no samples"],
  ["a compressed archive", gzipSync(new Uint8Array(1024)), "holds no samples"],
  ["a header that is damaged", Buffer.concat([Buffer.alloc(257, 7), Buffer.from("ustar\0"), Buffer.alloc(500)]), "is not a readable tar archive (Invalid tar header"], // biome-ignore format: a row
  ["JSON of another kind", '{"a": 1}', 'holds no samples (line 1: no "uid" and no "id")'],
])("%s is not a shard", async (_, content, message) => {
  const error: unknown = await read(content).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(UserError)
  expect((error as UserError).message).toContain(`${join(folder, "shard")} ${message}`)
})

test.each(["ustar", "gnu", "pax"])("%s archives of the system's tar are read", async (format) => {
  const name = `${"deep/".repeat(30)}1`
  const path = join(folder, "0.txt")
  await writeFile(path, "zero")
  const out = join(folder, `${format}.tar`)
  execFileSync("tar", ["-C", folder, `--format=${format}`, `--transform=s,0.txt,${name}.txt,`, "-cf", out, "0.txt"])
  const { samples } = await collect(out)
  expect(samples).toMatchObject([{ key: name, texts: ["zero"] }])
})

/** Bytes of a shard with the same samples, read and written again. */
async function rewritten(content: string | Uint8Array, output: "webdataset" | "jsonl"): Promise<string> {
  const { samples, problems } = await read(content)
  expect(problems).toEqual([])
  const format = { output, embeddings: "npz", textEmbeddings: "joined", images: true } as const
  const chunks: Uint8Array[] = []
  for await (const chunk of encodeSamples(samples, format)) chunks.push(chunk)
  return Buffer.concat(chunks).toString("latin1")
}

const python = '{"similarity":NaN,"hash":3791411052119578831,"aesthetic":5.0,"most":[-Infinity,1e-05]}'

test("JSON as Python writes it comes back with every digit, from tar and JSONL, into both", async () => {
  const tar = await tarOf([["a.jpg", jpg], ["a.txt", "x"], ["a.json", python]]) // biome-ignore format: files
  const line = `{"uid":"a","text":"x",${python.slice(1)}`
  for (const content of [tar, line]) {
    expect(await rewritten(content, "webdataset")).toContain(python)
    expect(await rewritten(content, "jsonl")).toContain(python.slice(1))
  }
})

test("a json that cannot be read costs no sample that has a picture and a text", async () => {
  for (const json of ["{", "[]", "1.0", Buffer.from('{"a": "caf\xe9"}', "latin1")]) {
    const { samples, problems } = await read(await tarOf([["a.jpg", jpg], ["a.txt", "x"], ["a.json", json]])) // biome-ignore format: files
    expect(samples).toMatchObject([{ key: "a", texts: ["x"], fields: {} }])
    expect(samples[0]!.others.get("json")).toEqual(new Uint8Array(Buffer.from(json)))
    expect(problems).toMatchObject([{ key: "a", action: "kept" }])
  }
})

test("ids of 19 digits stay distinct, and those that JavaScript can write are as before", async () => {
  const ids = Array.from({ length: 24 }, (_, i) => `37914110521195788${String(i).padStart(2, "0")}`)
  const lines = [...ids, "7", "8.0", "NaN", "-Infinity"].map((id) => `{"id":${id},"text":"x"}`)
  const { samples, problems } = await read(lines.join("\n"))
  expect(keys(samples)).toEqual([...ids, "7", "8"])
  expect(problems.map(({ reason }) => reason)).toEqual([
    'line 27: no "uid" and no "id"',
    'line 28: no "uid" and no "id"',
  ])
})

test("lines of JSONL: a byte-order mark, CR, null and NaN for what is missing, and bytes that are not UTF-8", async () => {
  const lines = [
    '\ufeff{"uid":"a","url":null}',
    '{"uid":"b","url":NaN,"image":NaN,"param_aug":NaN}',
    '\ufeff{"uid":"c"}',
  ]
  for (const lineEnd of ["\n", "\r\n", "\r"]) {
    const { samples, problems } = await read(lines.join(lineEnd))
    expect(keys(samples)).toEqual(["a", "b", "c"])
    expect(problems).toEqual([])
  }
  const { samples, problems } = await read(Buffer.from('{"uid":"a"}\n{"uid":"b","text":"caf\xe9"}\n', "latin1"))
  expect(keys(samples)).toEqual(["a"])
  expect(problems).toEqual([{ key: null, reason: "line 2: it is not UTF-8", action: "dropped" }])
})

test("captions in UTF-16 by their mark", async () => {
  const utf16 = Buffer.concat([Buffer.of(0xff, 0xfe), Buffer.from("Loïc’s café", "utf16le")])
  const { samples } = await read(await tarOf([["a.txt", utf16]])) // biome-ignore format: files
  expect(samples[0]!.texts).toEqual(["Loïc’s café"])
})

test("names that differ only in bytes that are not UTF-8 are names of their own, also in PAX and GNU headers", async () => {
  const names = Array.from({ length: 24 }, (_, i) => Buffer.from(`caf${String.fromCharCode(0xe0 + i)}`, "latin1"))
  const txt = (name: Uint8Array) => Buffer.concat([name, Buffer.from(".txt")])
  const pax = (name: Uint8Array) =>
    Buffer.from(paxField("hdrcharset", "BINARY") + paxField("path", Buffer.from(name).toString("latin1")), "latin1")
  const archives = {
    plain: names.map((name, i) => tarEntry(txt(name), `${i}`)),
    pax: names.map((name, i) => Buffer.concat([tarEntry("x", pax(txt(name)), "x"), tarEntry("caf_.txt", `${i}`)])),
    gnu: names.map((name, i) => Buffer.concat([tarEntry("././@LongLink", Buffer.concat([txt(name), Buffer.alloc(1)]), "L"), tarEntry("caf_.txt", `${i}`)])),
  } // biome-ignore format: an archive each
  const letters = names.map((name) => name.toString("latin1"))
  for (const entries of Object.values(archives)) {
    const { samples, problems } = await read(Buffer.concat([...entries, tarEnd]))
    expect(samples.map(({ key, texts }) => [key, texts[0]])).toEqual(letters.map((name, i) => [name, `${i}`]))
    expect(problems).toEqual([])
  }
  const utf8 = await read(Buffer.concat([tarEntry("café.txt", "one"), tarEntry("Ã©.txt", "two"), tarEnd]))
  expect(keys(utf8.samples)).toEqual(["café", "Ã©"])
})

test.each([
  ["a tar by gzip", async () => gzipSync(await tarOf([["a.txt", "x".repeat(9000)]])), "is a tar archive compressed by gzip"],
  ["a list of JSON", async () => ' [{"uid": "a"}]', "is one JSON array, and an object on each line was expected"],
  ["Parquet", async () => "PAR1....PAR1", "is a Parquet file, not a shard"],
  ["zip", async () => "PK\x03\x04", "is a zip archive, not a shard"],
  ["UTF-16", async () => Buffer.from([0xff, 0xfe, 0x7b, 0]), "is a text in UTF-16, not a shard"],
  ["UTF-16 without a mark", async () => Buffer.from('{"uid": "a"}', "utf16le"), "is a text in UTF-16, not a shard"],
  ["the other UTF-16", async () => Buffer.from('{"uid": "a"}', "utf16le").swap16(), "is a text in UTF-16, not a shard"],
])("%s says what it is", async (_, content, message) => {
  await expect(read(await content())).rejects.toThrow(message)
}) // biome-ignore format: a table
