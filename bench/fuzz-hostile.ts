/** Small shards and embeddings that describe large contents, for the fuzzer, with random kinds and sizes. */
import { gzipSync } from "node:zlib"
import type { Random } from "../src/core/arrays/random.ts"
import {
  type Arrays,
  compactZeros,
  fieldsOfZeros,
  gzipMebibytes,
  npzZeros,
  paxField,
  tarEnd,
  tarEntry,
  torchViews,
  zstdRuns,
} from "../test/hostile.ts"

/** 2^0 to 2^most, or a number near one of these powers. */
function sizeOf(random: Random, most: number): number {
  return Math.max(0, 2 ** random.int(most + 1) + random.int(3) - 1)
}

/** Shapes of arrays that are really allocated, so that their product is bounded. */
function arraysOf(random: Random, most: number): Arrays {
  const rows = sizeOf(random, 10)
  return { count: 1 + random.int(most), rows, width: Math.min(sizeOf(random, 10), Math.floor(2 ** 17 / (rows + 1))) }
}

export function hostileCompact(random: Random): Uint8Array {
  const arrays = { count: random.pick([0, 1, 2, 100, 255]), rows: sizeOf(random, 31), width: sizeOf(random, 31) }
  return compactZeros(random.chance(0.5) ? arrays : arraysOf(random, 250), 2 ** (10 + random.int(12)))
}

export function hostileTorch(random: Random): Uint8Array {
  return random.chance(0.1) ? gzipMebibytes(1 + random.int(16)) : torchViews(arraysOf(random, 300))
}

/** The text of an object with many values, many levels, or one long text. */
function hostileJson(random: Random, key: string): string {
  const count = sizeOf(random, 16)
  const value = random.pick([
    () => `[${random.pick(["[],", "{},", '"",', "1.5,", "null,"]).repeat(count)}0]`,
    () => `${"[".repeat(count)}${"]".repeat(count)}`,
    () => `${'{"a":'.repeat(count)}0${"}".repeat(count)}`,
    () => `{${Array.from({ length: count }, (_, i) => `"k${i}":{"v${i}":0}`).join()}}`,
    () => JSON.stringify(random.pick(["a", "[[0,0,9,9],null],", "é", '"']).repeat(count)),
  ])
  return `{${JSON.stringify(key)}:${value()}}`
}

const member: Readonly<Record<string, (random: Random) => Uint8Array | string>> = {
  cemb: hostileCompact,
  "pth.gz": hostileTorch,
  npz: (random) => npzZeros(arraysOf(random, 20)),
  "paug.json": (random) => hostileJson(random, "param_aug"),
  "syn.json": (random) => hostileJson(random, "syn_text"),
  json: (random) => hostileJson(random, "text"),
  txt: (random) => "a ".repeat(sizeOf(random, 18)),
}

export function hostileTar(random: Random): Uint8Array {
  const entries = random.pick([
    () => {
      const extension = random.pick(Object.keys(member))
      return [tarEntry(`b.${extension}`, member[extension]!(random))]
    },
    () => Array.from({ length: sizeOf(random, 9) }, (_, i) => tarEntry(`b.${i % 7}`, "")),
    () => [tarEntry("b.jpg", "", "0", sizeOf(random, 32)), tarEntry("b.txt", "two")],
    () => hostileHeaders(random),
  ])()
  return Buffer.concat([tarEntry("a.txt", "one"), ...entries, tarEntry("c.txt", "three"), tarEnd])
}

/** Names and fields for one entry, or for all entries after it. */
function hostileHeaders(random: Random): Buffer[] {
  const type = random.pick(["x", "g", "L"])
  const name = random.pick(["./", "a/", "a.", "/"]).repeat(sizeOf(random, 17))
  const fields = Array.from({ length: sizeOf(random, 13) }, (_, i) => paxField(`k${i}`, "v"))
  const content = type === "L" ? name : random.chance(0.5) ? paxField("path", `${name}b`) : fields.join("")
  const followers = Array.from({ length: random.int(50) }, (_, i) => tarEntry(`b${i}.txt`, "two"))
  const pax = tarEntry("pax", paxField("mtime", "1"), "x")
  return [tarEntry("pax", content, type), ...followers.flatMap((entry) => [pax, entry])]
}

export function hostileLines(random: Random): Uint8Array {
  const text = random.pick([
    () => fieldsOfZeros(arraysOf(random, 60)),
    () => `{"uid":"b",${hostileJson(random, random.pick(["text", "param_aug", "x_emb", "syn_text", "x"])).slice(1)}`,
    () => random.pick(["x\n", "{}\n", " \n", "\n"]).repeat(sizeOf(random, 16)),
    () => JSON.stringify({ uid: "b".repeat(sizeOf(random, 18)) }),
  ])
  const packed = random.pick([
    () => Buffer.from(`{"uid":"a"}\n${text()}\n{"uid":"c"}\n`),
    () => gzipSync(`{"uid":"a"}\n${text()}\n{"uid":"c"}\n`),
    () => zstdRuns({ count: 1 + random.int(200), size: sizeOf(random, 20), letter: random.pick(["a", "\n", " "]) }),
    () => zstdRuns({ count: 1 + random.int(4), size: sizeOf(random, 17), frames: true }),
  ])
  return packed()
}
