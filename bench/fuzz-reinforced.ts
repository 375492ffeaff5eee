/** Seeds for the fuzzer: embeddings of reinforced samples in each form, and whole shards. */
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { crc32, gunzipSync } from "node:zlib"
import { Random } from "../src/core/arrays/random.ts"
import { numpyPickle } from "../src/core/containers/numpy-pickle.ts"
import { gzip, writeEmbeddings } from "../src/data/reinforced/embeddings.ts"
import { encodeSamples, type SampleFormat } from "../src/data/reinforced/encode.ts"
import type { Embeddings } from "../src/data/reinforced/sample.ts"
import { likeVectors, reinforcedSample } from "../test/reinforced.ts"
import { amplifiedNumpy } from "./fuzz-amplify.ts"
import { hostileCompact, hostileLines, hostileTar, hostileTorch } from "./fuzz-hostile.ts"
import { headersOf, type Seed, withChecksums } from "./fuzz-seeds.ts"

function embeddingsOf(rows: number): Map<string, Embeddings> {
  const random = Random.of(3, rows)
  return new Map([
    ["image_emb", likeVectors(rows, 512, 0.8, random)],
    ["text_emb", likeVectors(6, 512, 0, random)],
  ])
}

// -------------------------------------------------------------------------------------------------- embeddings

export function numpySeeds(): Seed[] {
  return [10, 40].map((rows) => {
    const { values, width } = embeddingsOf(rows).get("image_emb")!
    const bytes = numpyPickle(values, rows, width)
    return { bytes, hot: [[0, 60], [bytes.length - 60, bytes.length]], amplify: amplifiedNumpy } // biome-ignore format: ranges
  })
}

/** The part is everything before the checksum, which is then corrected. */
export function compactSeeds(): Seed[] {
  return [4, 10, 30].map((rows) => {
    const bytes = writeEmbeddings("compact", embeddingsOf(rows))
    const rebuild = (changed: Uint8Array) => {
      const checksum = Buffer.alloc(4)
      checksum.writeUInt32LE(crc32(changed))
      return Buffer.concat([changed, checksum])
    }
    const second = Buffer.from(bytes).indexOf("text_emb")
    return { bytes, hot: [[0, 40], [second - 1, second + 30]], part: { bytes: bytes.subarray(0, -4), rebuild }, amplify: hostileCompact } // biome-ignore format: ranges
  })
}

/** The part is the torch file inside. */
export function torchGzSeeds(): Seed[] {
  return [4, 10, 30].map((rows) => {
    const bytes = writeEmbeddings("pth.gz", embeddingsOf(rows))
    const inner = Uint8Array.from(gunzipSync(bytes))
    const directory = Buffer.from(inner).indexOf("PK\x01\x02")
    // Changes anywhere in the file would hit values almost always.
    const head = inner.subarray(0, 1024)
    const tail = inner.subarray(directory)
    const rebuildHead = (changed: Uint8Array) => gzip(Buffer.concat([changed, inner.subarray(1024)]))
    const rebuildTail = (changed: Uint8Array) => gzip(Buffer.concat([inner.subarray(0, directory), changed]))
    const isHead = rows !== 10
    return {
      bytes,
      hot: [[0, 32]],
      part: { bytes: isHead ? head : tail, rebuild: isHead ? rebuildHead : rebuildTail },
      amplify: hostileTorch,
    }
  })
}

// ------------------------------------------------------------------------------------------------------ shards

const formats: readonly Omit<SampleFormat, "output">[] = [
  { embeddings: "npz", textEmbeddings: "joined", images: true },
  { embeddings: "pth.gz", textEmbeddings: "separate", images: true },
  { embeddings: "compact", textEmbeddings: "joined", images: true },
]

/** Parts are in turn all headers, and the views, captions and embeddings of one sample. */
export async function sampleSeeds(): Promise<Seed[]> {
  const seeds: Seed[] = []
  for (const format of formats) {
    const bytes = Uint8Array.from(await shard({ ...format, output: "webdataset" }))
    const headers = headersOf(bytes)
    const hot = headers.map((at) => [at, at + 512] as const)
    seeds.push({ bytes, hot, part: { bytes, rebuild: withChecksums }, amplify: hostileTar })
    for (const at of headers.slice(8, 14)) seeds.push({ bytes, hot, part: memberPart(bytes, at), amplify: hostileTar })
  }
  return seeds
}

/** A member that keeps its size, whatever is changed in it. */
function memberPart(bytes: Uint8Array, header: number): NonNullable<Seed["part"]> {
  const size = Number.parseInt(Buffer.from(bytes.subarray(header + 124, header + 135)).toString("latin1"), 8)
  const start = header + 512
  const rebuild = (changed: Uint8Array) => {
    const result = Uint8Array.from(bytes)
    result.fill(0x20, start, start + size)
    result.set(changed.subarray(0, size), start)
    return result
  }
  return { bytes: bytes.subarray(start, start + size), rebuild }
}

/** Plain, gzip'd with a changed line inside, and compressed by zstd. */
export async function jsonlSeeds(): Promise<Seed[]> {
  const bytes = await shard({ ...formats[0]!, output: "jsonl" })
  const line = bytes.indexOf("\n") + 1
  const rest = bytes.subarray(line)
  const fixture = fileURLToPath(new URL("../test/fixtures/reinforced/captions.jsonl.zst", import.meta.url))
  const zstd = readFileSync(fixture.replace(/\/dist\/test\//, "/test/"))
  const zipped = gzip(bytes)
  const seeds: Seed[] = [
    { bytes, hot: [[line - 200, line + 400], [0, bytes.length]] }, // biome-ignore format: ranges
    { bytes: zipped, hot: [[0, 20], [0, zipped.length]], part: { bytes: bytes.subarray(0, line), rebuild: (changed) => gzip(Buffer.concat([changed, rest])) } }, // biome-ignore format: a row
    { bytes: zstd, hot: [[0, 64], [0, zstd.length]] }, // biome-ignore format: ranges
  ]
  return seeds.map((seed) => ({ ...seed, amplify: hostileLines }))
}

async function shard(format: SampleFormat): Promise<Buffer> {
  const picture = Uint8Array.from({ length: 4000 }, (_, i) => (i * i) % 256)
  const image = { extension: "jpg", bytes: picture }
  const samples = ["a", "b", "c"].map((key) => ({ ...reinforcedSample(key, 1, { width: 128 }), image }))
  const chunks: Uint8Array[] = []
  for await (const chunk of encodeSamples(samples, format)) chunks.push(chunk)
  return Buffer.concat(chunks)
}
