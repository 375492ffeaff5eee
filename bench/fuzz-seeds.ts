/** Small valid files of every format that is read, for the fuzzer: where to change them, and how to rebuild them. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { float32ToBfloat16, float32ToFloat16 } from "../src/core/arrays/half.ts"
import { Random } from "../src/core/arrays/random.ts"
import { type Dtype, safetensorsChunks } from "../src/core/containers/safetensors.ts"
import { writeShard } from "../src/data/shards.ts"
import { call, pickle, type Storage, tensorOf, torchArchive } from "../test/torch-archive.ts"
import { type ZipOptions, zipArchive } from "../test/zip-archive.ts"
import { type Amplify, amplifiedNpz, amplifiedSafetensors, amplifiedTorch } from "./fuzz-amplify.ts"
import { hostileTar } from "./fuzz-hostile.ts"

export interface Seed {
  readonly bytes: Uint8Array
  /** [begin, end) of the bytes that describe the data: headers, directories, pickles. */
  readonly hot: readonly (readonly [number, number])[]
  /** A part that is changed before the file is put together again around it, so that lengths and checksums are right. */
  readonly part?: { readonly bytes: Uint8Array; rebuild(changed: Uint8Array): Uint8Array }
  /** A small file of the format that describes large contents. */
  readonly amplify?: Amplify
}

const random = new Random(11)
const floats = (count: number) => Float32Array.from({ length: count }, () => random.normal())

// ------------------------------------------------------------------------------------------------------- torch

/** Sizes in floats of the largest tensor: files of about 64 KiB, 256 KiB and 1 MiB. */
export function torchSeeds(): Seed[] {
  return [
    torchSeed(16_000, {}),
    torchSeed(16_000, { crc: false }),
    torchSeed(16_000, { crc: false, zip64: true }),
    torchSeed(64_000, { zip64: true }),
    torchSeed(256_000, { crc: false }),
  ]
}

function torchSeed(count: number, options: ZipOptions): Seed {
  const storages = storagesOf(count)
  const [big, half, brain, ints, flags] = storages as [Storage, Storage, Storage, Storage, Storage]
  const dict = new Map([
    ["visual.weight", tensorOf(big, { shape: [count / 100, 100], strides: [100, 1] })],
    ["visual.view", tensorOf(big, { offset: 5, shape: [10, 7], strides: [1, 20] })],
    ["visual.shared", tensorOf(big, { offset: 100, shape: [100], strides: [1] })],
    ["text.half", tensorOf(half, { shape: [8, 16], strides: [16, 1] })],
    ["text.brain", tensorOf(brain, { shape: [16, 8], strides: [1, 16] })],
    ["bn.num_batches_tracked", tensorOf(ints, { shape: [], strides: [] })],
    ["flags", call("torch._utils._rebuild_parameter", tensorOf(flags, { shape: [3], strides: [1] }), true, null)],
  ])
  const whole = new Map([["epoch", 3 as never], ["name", "run" as never], ["state_dict", dict as never]]) // biome-ignore format: a dict
  const build = (changed: Uint8Array) => torchArchive(whole, storages, { ...options, extra: { "data.pkl": changed } })
  const written = pickle(whole)
  return { ...zipSeed(build(written), [written]), part: { bytes: written, rebuild: build }, amplify: amplifiedTorch }
}

function storagesOf(count: number): Storage[] {
  return [
    { type: "FloatStorage", key: "0", values: floats(count) },
    { type: "HalfStorage", key: "1", values: float32ToFloat16(floats(128)) },
    { type: "BFloat16Storage", key: "2", values: float32ToBfloat16(floats(128)) },
    { type: "LongStorage", key: "3", values: BigInt64Array.of(7n) },
    { type: "BoolStorage", key: "4", values: Uint8Array.of(1, 0, 1) },
  ]
}

/** Changes hit the directory, the first local headers, and the ranges of `parts`. */
function zipSeed(bytes: Uint8Array, parts: readonly Uint8Array[]): Seed {
  const buffer = Buffer.from(bytes)
  const ranges = parts.map((part) => [buffer.indexOf(part), buffer.indexOf(part) + part.length] as const)
  const directory = buffer.indexOf("PK\x01\x02")
  return {
    bytes,
    hot: [[directory, bytes.length], [bytes.length - 22, bytes.length], [0, 64], ...ranges.filter(([at]) => at >= 0)],
  }
}

// ------------------------------------------------------------------------------------------------- safetensors

export function safetensorsSeeds(): Seed[] {
  return [16_000, 16_000, 64_000, 256_000].map((count) => {
    const tensors = [
      ["weight", "F32", [count / 100, 100], floats(count)],
      ["half", "F16", [8, 16], float32ToFloat16(floats(128))],
      ["brain", "BF16", [128], float32ToBfloat16(floats(128))],
      ["steps", "I64", [], BigInt64Array.of(7n)],
      ["flags", "BOOL", [3], Uint8Array.of(1, 0, 1)],
    ] as const satisfies readonly (readonly [string, Dtype, readonly number[], ArrayBufferView])[]
    const listed = tensors.map(([name, dtype, shape, values]) => ({ name, dtype, shape, read: () => values }))
    const bytes = Buffer.concat([...safetensorsChunks(listed, { format: "pt" })])
    const end = 8 + Number(bytes.readBigUInt64LE(0))
    const rebuild = (changed: Uint8Array) => {
      const length = Buffer.alloc(8)
      length.writeBigUInt64LE(BigInt(changed.length))
      return Buffer.concat([length, changed, bytes.subarray(end)])
    }
    const part = { bytes: bytes.subarray(8, end), rebuild }
    return { bytes, hot: [[0, 8], [8, end]], part, amplify: amplifiedSafetensors } // biome-ignore format: ranges
  })
}

// --------------------------------------------------------------------------------------------------------- npz

export function npzSeeds(): Seed[] {
  return [
    npzSeed(16_000, {}),
    npzSeed(16_000, { deflate: true }),
    npzSeed(16_000, { crc: false }),
    npzSeed(16_000, { crc: false, deflate: true }),
    npzSeed(64_000, { crc: false, zip64: true }),
    npzSeed(256_000, { crc: false }),
  ]
}

function npzSeed(count: number, options: ZipOptions): Seed {
  const arrays = new Map<string, Uint8Array>([
    ["embeddings.npy", npy("<f4", false, [count / 100, 100], floats(count))],
    ["fortran.npy", npy("<f4", true, [8, 16], floats(128))],
    ["half.npy", npy("<f2", true, [8, 4, 4], float32ToFloat16(floats(128)), 2)],
    ["ids.npy", npy("<i8", false, [], BigInt64Array.of(5n), 3)],
    ["mask.npy", npy("|b1", false, [3], Uint8Array.of(1, 0, 1))],
  ])
  const first = arrays.get("fortran.npy")!
  const rebuild = (changed: Uint8Array) => zipArchive(new Map([...arrays, ["fortran.npy", changed]]), options)
  const headers = options.deflate ? [] : [...arrays.values()].map((array) => array.subarray(0, 128))
  return { ...zipSeed(zipArchive(arrays, options), headers), part: { bytes: first, rebuild }, amplify: amplifiedNpz }
}

/** An array as NumPy writes it: the data begin at a multiple of 64 bytes. */
export function npy(
  descr: string,
  fortran: boolean,
  shape: readonly number[],
  values: ArrayBufferView,
  version: 1 | 2 | 3 = 1,
): Uint8Array {
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(", ")
  const text = `{'descr': '${descr}', 'fortran_order': ${fortran ? "True" : "False"}, 'shape': (${sizes}), }`
  const start = version === 1 ? 10 : 12
  const header = Buffer.from(`${text.padEnd(128 - start - 1)}\n`)
  const prefix = Buffer.alloc(start)
  prefix.write("\x93NUMPY", "latin1")
  prefix[6] = version
  if (version === 1) prefix.writeUInt16LE(header.length, 8)
  else prefix.writeUInt32LE(header.length, 8)
  return Buffer.concat([prefix, header, new Uint8Array(values.buffer, values.byteOffset, values.byteLength)])
}

// --------------------------------------------------------------------------------------------------------- tar

/** The part is the whole archive, after which the checksums of its headers are corrected. */
export async function tarSeeds(): Promise<Seed[]> {
  const folder = mkdtempSync(join(tmpdir(), "fuzz-seeds-"))
  try {
    const seeds: Seed[] = []
    for (const size of [400, 4000, 60_000]) {
      const path = join(folder, "seed.tar")
      await writeShard(path, samples(size))
      const bytes = Uint8Array.from(readFileSync(path))
      const hot = headersOf(bytes).map((at) => [at, at + 512] as const)
      seeds.push({ bytes, hot, part: { bytes, rebuild: withChecksums }, amplify: hostileTar })
    }
    return seeds
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function* samples(size: number) {
  for (let i = 0; i < 16; i++) {
    // A name of more than 100 bytes needs an extended header (PAX).
    const key = i % 5 === 0 ? `deep/${"folder/".repeat(20)}${i}` : `train/${i}`
    const picture = Uint8Array.from({ length: size }, () => random.int(256))
    const members = new Map<string, Uint8Array>([["jpg", picture], ["txt", Buffer.from(`a caption of ${i}`)]]) // biome-ignore format: pairs
    yield { key, members }
  }
}

/** Where the archive has headers. */
export function headersOf(bytes: Uint8Array): number[] {
  const found: number[] = []
  for (let at = 0; at + 512 <= bytes.length; at += 512) {
    if (Buffer.from(bytes.subarray(at + 257, at + 262)).toString("latin1") === "ustar") found.push(at)
  }
  return found
}

/** Corrects checksums: the sum of the header's bytes, its own field counted as spaces, as six octal digits. */
export function withChecksums(bytes: Uint8Array): Uint8Array {
  const result = Buffer.from(bytes)
  for (const at of headersOf(bytes)) {
    const header = result.subarray(at, at + 512)
    header.fill(0x20, 148, 156)
    const sum = header.reduce((total, byte) => total + byte, 0)
    header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1")
  }
  return result
}
