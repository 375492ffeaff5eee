/** Small weight files and archives that describe large contents, for the fuzzer, with random kinds and sizes. */
import { float32ToFloat16 } from "../src/core/arrays/half.ts"
import type { Random } from "../src/core/arrays/random.ts"
import {
  call,
  globalOf,
  type Pickled,
  pickle,
  type Storage,
  tensorOf,
  torchArchive,
  tuple,
} from "../test/torch-archive.ts"
import { zipArchive } from "../test/zip-archive.ts"

export type Amplify = (random: Random) => Uint8Array

/** Up to 2^exponent, small ones as often as large ones. */
const size = (random: Random, exponent: number) => Math.floor(2 ** random.uniform(0, exponent))

const named = (count: number, value: Pickled) =>
  new Map<Pickled, Pickled>(Array.from({ length: count }, (_, i) => [`w${i}`, value]))

// ------------------------------------------------------------------------------------------------------- torch

export function amplifiedTorch(random: Random): Uint8Array {
  return random.pick([repeatedStorage, repeatedOpcodes, hugeShape, manyEntries, sharedEntries])(random)
}

/** Many names for one storage, as a whole or in windows with gaps. */
function repeatedStorage(random: Random): Uint8Array {
  const length = size(random, 17)
  const storage = random.pick<Storage>([
    { type: "FloatStorage", key: "0", values: new Float32Array(length) },
    { type: "HalfStorage", key: "0", values: float32ToFloat16(new Float32Array(length)) },
    { type: "ByteStorage", key: "0", values: new Uint8Array(length) },
    { type: "LongStorage", key: "0", values: new BigInt64Array(length) },
  ])
  const views = [
    { shape: [length], strides: [1] },
    { shape: [2], strides: [length - 1] },
    { shape: [1, length], strides: [0, 1] },
    { shape: [length], strides: [0] },
    { shape: [length, ...new Array<number>(40).fill(1)], strides: [1, ...new Array<number>(40).fill(0)] },
  ]
  return torchArchive(named(size(random, 9), tensorOf(storage, random.pick(views))), [storage])
}

/** Opcodes that turn few bytes into large objects, in place of a dict or of one integer in it. */
function repeatedOpcodes(random: Random): Uint8Array {
  const parts = ["}", "]", ")", "\x8f", "C\0", "U\x02ab", "K\x01\x85", "(N\x91", "2\x86", "G\0\0\0\0\0\0\0\0", "\x8a\x08aaaaaaaa"] // biome-ignore format: opcodes
  const list = `ccollections\nOrderedDict\nq\0](${"K\x01K\x01\x86".repeat(size(random, 12))}e\x85q\x01`
  const repeated = random.chance(0.3)
    ? `${list}${"h\0h\x01R".repeat(size(random, 12))}`
    : `]q\0${random.pick(parts).repeat(size(random, 17))}`
  const bytes = Buffer.from(`\x80\x02${repeated}.`, "latin1")
  return torchArchive(null, [], { extra: { "data.pkl": bytes } })
}

/** Sizes beyond the storage, with a size of 0 or a stride of 0. */
function hugeShape(random: Random): Uint8Array {
  const storage: Storage = { type: "FloatStorage", key: "0", values: new Float32Array(16) }
  const sizes = [0, 1, 4, 2 ** 20, 2 ** 31, 2 ** 53]
  const shape = Array.from({ length: 1 + random.int(4) }, () => random.pick(sizes))
  const strides = shape.map(() => random.pick([0, 1, 4, 2 ** 31]))
  const count = random.pick<Pickled>([16, 2 ** 31, 10n ** 18n, tuple(tuple(1)), globalOf("torch.Size")])
  const id = tuple("storage", globalOf("torch.FloatStorage"), "0", "cpu", random.chance(0.7) ? 16 : count)
  const args = [{ kind: "persistent", id } as const, 0, tuple(...shape), tuple(...strides), false]
  return torchArchive(named(size(random, 5), call("torch._utils._rebuild_tensor_v2", ...args)), [storage])
}

function manyEntries(random: Random): Uint8Array {
  const extra = Object.fromEntries(Array.from({ length: size(random, 11) }, (_, i) => [`data/${i}`, new Uint8Array(0)]))
  return torchArchive(named(1, 1), [], { extra, align: random.chance(0.5) ? 64 : 1 })
}

/** Every entry of the directory points to the first one's data. */
function sharedEntries(random: Random): Uint8Array {
  const storages = Array.from({ length: 1 + size(random, 6) }, (_, i): Storage => {
    return { type: "FloatStorage", key: String(i), values: new Float32Array(i === 0 ? size(random, 16) : 0) }
  })
  const bytes = Buffer.from(torchArchive(named(1, tensorOf(storages[0]!, { shape: [1], strides: [1] })), storages))
  let at = bytes.indexOf("PK\x01\x02")
  const first = bytes.readUInt32LE(at + 42)
  for (; at >= 0; at = bytes.indexOf("PK\x01\x02", at + 4)) bytes.writeUInt32LE(first, at + 42)
  return bytes
}

// ------------------------------------------------------------------------------------------------- safetensors

export function amplifiedSafetensors(random: Random): Uint8Array {
  return random.pick([emptyTensors, longShape, manyTexts, wideTexts, bytesAsFloats, deepValues])(random)
}

const tensorEntry = (dtype: string, shape: string, end: number) =>
  `{"dtype":"${dtype}","shape":[${shape}],"data_offsets":[0,${end}]}`

function withHeader(text: string, data = new Uint8Array(0)): Uint8Array {
  const header = Buffer.from(text)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  return Buffer.concat([length, header, data])
}

function emptyTensors(random: Random): Uint8Array {
  const shape = random.pick(["0", "2147483648,0", "9007199254740991,9007199254740991,0"])
  const prefix = random.pick(["", "visual.trunk.stages."])
  const entries = Array.from({ length: size(random, 17) }, (_, i) => `"${prefix}${i}":${tensorEntry("F32", shape, 0)}`)
  return withHeader(`{${entries}}`)
}

function longShape(random: Random): Uint8Array {
  return withHeader(`{"w":${tensorEntry("U8", `0${",1".repeat(size(random, 20))}`, 0)}}`)
}

function manyTexts(random: Random): Uint8Array {
  const texts = Array.from({ length: size(random, 18) }, (_, i) => `"${i}":""`)
  return withHeader(`{"__metadata__":{${texts}}}`)
}

/** A single character makes every character of the text take two bytes. */
function wideTexts(random: Random): Uint8Array {
  return withHeader(`{"__metadata__":{"a":"${random.pick(["é", "漢", '\\"', "\\u0041"]).repeat(size(random, 17))}"}}`)
}

function bytesAsFloats(random: Random): Uint8Array {
  const length = size(random, 20)
  const dtype = random.pick(["U8", "I8", "BOOL"])
  return withHeader(`{"w":${tensorEntry(dtype, String(length), length)}}`, new Uint8Array(length))
}

function deepValues(random: Random): Uint8Array {
  const count = size(random, 16)
  return withHeader(`{"w":{"shape":${random.pick(["[", '{"a":'])?.repeat(count)}`)
}

// --------------------------------------------------------------------------------------------------------- npz

/** Arrays of at most 8 MiB together, about which an archive may claim anything. */
export function amplifiedNpz(random: Random): Uint8Array {
  const count = size(random, random.chance(0.1) ? 11 : 5)
  const values = Math.ceil(size(random, 21) / Math.min(count, 16))
  const [rows, columns] = random.pick([[1, values], [values, 1], [2 ** 31, 0], [0, 2 ** 53 - 1]]) as [number, number] // biome-ignore format: pairs
  const array = npyOf(`(${rows}, ${columns})`, random.chance(0.5), new Uint8Array(4 * rows * columns), random)
  const arrays = new Map(Array.from({ length: count }, (_, i) => [`${i}.npy`, i < 16 ? array : array.subarray(0, 128)]))
  return zipArchive(arrays, { deflate: random.chance(0.8) })
}

/** A header of 118 bytes, or one that is padded with a long run. */
function npyOf(shape: string, fortran: boolean, data: Uint8Array, random: Random): Uint8Array {
  const text = `{'descr': '<f4', 'fortran_order': ${fortran ? "True" : "False"}, 'shape': ${shape}, }`
  const length = random.chance(0.9) ? 116 : 116 + size(random, 17)
  const head = Buffer.from("\x93NUMPY\x02\0....", "latin1")
  head.writeUInt32LE(length, 8)
  return Buffer.concat([head, Buffer.from(text.padEnd(length, random.pick([" ", "{", "'"]))), data])
}

// ------------------------------------------------------------------------------------------------------- numpy

export function amplifiedNumpy(random: Random): Uint8Array {
  if (random.chance(0.3)) return repeatedText(random)
  const [rows, columns] = random.pick([[1, size(random, 18)], [size(random, 9), size(random, 9)], [2 ** 31, 0], [2 ** 53 - 1, 0]]) as [number, number] // biome-ignore format: pairs
  return pickle(arrayOf(tuple(rows, columns), new Uint8Array(4 * rows * columns), random.chance(0.5)))
}

/** As in protocol 2: bytes are a latin1 text that a call converts. */
function arrayOf(shape: Pickled, bytes: Uint8Array, fortran: boolean): Pickled {
  const build = (object: Pickled, state: Pickled): Pickled => ({ kind: "build", object, state })
  const dtype = build(call("numpy.dtype", "f4", false, true), tuple(3, "<", null, null, null, -1, -1, 0))
  const text = Buffer.from(bytes).toString("latin1")
  const array = call("numpy.core.multiarray._reconstruct", globalOf("numpy.ndarray"), tuple(0), "b")
  return build(array, tuple(1, shape, dtype, fortran, call("_codecs.encode", text, "latin1")))
}

/** One text, whose bytes are used again and again. */
function repeatedText(random: Random): Uint8Array {
  const length = Buffer.alloc(4)
  length.writeUInt32LE(size(random, 18))
  const text = `X${length.toString("latin1")}${"a".repeat(length.readUInt32LE())}q\x01`
  const made = "h\x03h\x01h\x02\x86R".repeat(size(random, 12))
  return Buffer.from(`\x80\x02${text}X\x06\0\0\0latin1q\x02c_codecs\nencode\nq\x03${made}.`, "latin1")
}
