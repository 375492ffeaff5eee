import { execFileSync } from "node:child_process"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { collect, reinforcedSample } from "../../../test/reinforced.ts"
import { encodeSamples, type SampleFormat } from "./encode.ts"
import type { ReinforcedSample } from "./sample.ts"

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "encode-"))
})
afterAll(() => rm(folder, { recursive: true }))

async function encode(samples: readonly ReinforcedSample[], format: Partial<SampleFormat> = {}): Promise<Buffer> {
  const defaults = { output: "webdataset", embeddings: "npz", textEmbeddings: "joined", images: true } as const
  const chunks: Uint8Array[] = []
  for await (const chunk of encodeSamples(samples, { ...defaults, ...format })) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function again(samples: readonly ReinforcedSample[], format: Partial<SampleFormat> = {}) {
  const path = join(folder, "shard")
  await writeFile(path, await encode(samples, format))
  const { samples: found, problems } = await collect(path)
  expect(problems).toEqual([])
  return found
}

const sample = reinforcedSample("train/0", 1)
const rich: ReinforcedSample = {
  ...reinforcedSample("train/1", 1),
  image: { extension: "png", bytes: Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 1) },
  texts: ["one", "two\nlines"],
  embeddings: new Map([["image_emb", sample.embeddings.get("image_emb")!]]),
  fields: { uid: "another", nested: { __proto__x: [1, null] } },
  others: new Map([["cls", Uint8Array.of(0x37)]]),
}
const bare: ReinforcedSample = {
  ...{ key: "2", image: null, url: null, texts: [], synTexts: new Map(), paramAug: null, embeddings: new Map() },
  ...{ fields: {}, others: new Map([["txt2", new Uint8Array(0)]]) },
}

test("several captions, other uids, other members and bare samples come back, from both outputs", async () => {
  for (const output of ["webdataset", "jsonl"] as const) {
    expect(await again([sample, rich, bare], { output })).toEqual([
      // The uid is the key of a line.
      output === "jsonl" ? { ...sample, fields: { sha256: sample.fields.sha256 } } : sample,
      rich,
      bare,
    ])
  }
})

test("equal samples give equal bytes, which the system's tar lists", async () => {
  for (const embeddings of ["npz", "pth.gz", "compact"] as const) {
    const bytes = await encode([sample, rich], { embeddings })
    expect(await encode([structuredClone(sample), structuredClone(rich)], { embeddings })).toEqual(bytes)
  }
  const path = join(folder, "listed.tar")
  await writeFile(path, await encode([rich], { embeddings: "pth.gz" }))
  const listing = execFileSync("tar", ["-tf", path], { encoding: "utf8" }).trim().split("\n")
  const extensions = ["cls", "json", "paug.json", "png", "pth.gz", "syn.json", "url.txt"]
  expect(listing).toEqual(extensions.map((extension) => `train/1.${extension}`))
})

test("gzip'd members contain neither a time nor a system", async () => {
  const bytes = await encode([sample], { embeddings: "pth.gz" })
  const at = bytes.indexOf(Buffer.of(0x1f, 0x8b, 8, 0))
  expect([...bytes.subarray(at + 4, at + 10)]).toEqual([0, 0, 0, 0, expect.any(Number), 255])
})

test("text embeddings are joined and parted, and images left out", async () => {
  const [parted] = await again([rich, sample], { textEmbeddings: "separate", images: false }).then((all) =>
    all.slice(1),
  )
  const joined = sample.embeddings.get("text_emb")!
  expect([...parted!.embeddings.keys()]).toEqual(["image_emb", "text_emb", "syn_text_emb"])
  expect(parted!.embeddings.get("text_emb")!.values).toEqual(joined.values.subarray(0, 16))
  expect(parted!.embeddings.get("syn_text_emb")!.values).toEqual(joined.values.subarray(16))
  const [whole] = await again([parted!], { textEmbeddings: "joined" })
  expect(whole).toEqual(sample)
  expect((await again([rich], { images: false }))[0]!.image).toBe(null)
})

test("bfloat16 is kept as such in pth.gz, and rounded in JSONL", async () => {
  const [torch] = await again([sample], { embeddings: "pth.gz" })
  const [line] = await again([sample], { output: "jsonl", embeddings: "pth.gz" })
  const [brain, float] = [torch, line].map((found) => found!.embeddings.get("image_emb")!)
  expect([brain!.dtype, float!.dtype]).toEqual(["bfloat16", "float32"])
  expect(brain!.values).toEqual(float!.values)
  const exact = sample.embeddings.get("image_emb")!.values
  exact.forEach((value, i) => {
    expect(Math.abs(value - brain!.values[i]!)).toBeLessThanOrEqual(Math.abs(value) * 2 ** -8)
  })
  expect(brain!.values).not.toEqual(exact)
})

test("JSONL has no compact embeddings", async () => {
  await expect(encode([sample], { output: "jsonl", embeddings: "compact" })).rejects.toThrow("JSONL has no compact")
})
