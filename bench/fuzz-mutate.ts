/** A damaged copy of a file, with a few changes, most of them where the file describes its data; or a file that describes large contents. */
import type { Random } from "../src/core/arrays/random.ts"
import type { Seed } from "./fuzz-seeds.ts"

type Range = readonly [begin: number, end: number]
type PickOffset = () => number
type Change = (bytes: Buffer, place: PickOffset, random: Random) => Buffer

/** The share of files that are amplified where their seed allows it; half of those are damaged as well. */
const amplified = 0.2

/** Half of the time, where the seed has such a part, the part is changed and the file is put together again. */
export function mutate({ bytes, hot, part, amplify }: Seed, random: Random): Uint8Array {
  if (amplify && random.chance(amplified)) {
    const large = amplify(random)
    return random.chance(0.5) ? large : changed(large, [[0, Math.min(large.length, 4096)]], random)
  }
  if (!part || random.chance(0.5)) return changed(bytes, hot, random)
  return part.rebuild(changed(part.bytes, part.bytes === bytes ? hot : [[0, part.bytes.length]], random))
}

function changed(original: Uint8Array, hot: readonly Range[], random: Random): Uint8Array {
  let bytes: Buffer = Buffer.from(original)
  for (let n = 1 + random.int(1 + random.int(4)); n > 0 && bytes.length > 0; n--) {
    const place = () => {
      const [begin, end] = random.chance(0.8) ? random.pick(hot) : [0, bytes.length]
      return Math.min(begin + random.int(Math.max(end - begin, 1)), bytes.length - 1)
    }
    bytes = random.pick(changes)(bytes, place, random)
  }
  return random.chance(0.05) ? bytes.subarray(0, random.int(bytes.length + 1)) : bytes
}

/** Bytes that mean something in one of the formats: opcodes of pickles, JSON, Python literals, octal digits. */
const alphabet = Buffer.from(
  '().\x80\x85\x86\x87\x88\x89\x8a\x8c\x93\x94\x95]}{[",:0123456789-NIJKMGXQRbceuqrhj2a',
  "latin1",
)
const sizes = [0, 1, 2, 255, 256, 0xffff, 0x10000, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 40, 2 ** 53]
const numbers = ["0", "-1", "1e9", "4294967296", "9007199254740993", "1".repeat(300), "77777777777", "00000000000", "2147483648, 0"] // biome-ignore format: numbers
const texts = ["os\nsystem\n", "collections\nOrderedDict\n", "torch\nFloatStorage\n", "__proto__", "constructor", "é\0"]

const changes: readonly Change[] = [
  function flipBit(bytes, place, random) {
    bytes[place()]! ^= 1 << random.int(8)
    return bytes
  },
  function setByte(bytes, place, random) {
    bytes[place()] = random.chance(0.5) ? random.int(256) : random.pick([...alphabet])
    return bytes
  },
  function extremeField(bytes, place, random) {
    const at = place()
    const size = random.chance(0.3) ? bytes.length + random.int(5) - 2 : random.pick(sizes)
    const field = Buffer.alloc(8)
    field.writeBigUInt64LE(random.chance(0.1) ? 2n ** 64n - 1n : BigInt(Math.max(size, 0)))
    field.copy(bytes, at, 0, random.pick([1, 2, 4, 8]))
    return bytes
  },
  function overwriteText(bytes, place, random) {
    bytes.write(random.pick(random.chance(0.5) ? numbers : texts), place(), "latin1")
    return bytes
  },
  function insertText(bytes, place, random) {
    return insert(bytes, place(), Buffer.from(random.pick(random.chance(0.5) ? numbers : texts), "latin1"))
  },
  function insertBytes(bytes, place, random) {
    return insert(bytes, place(), Buffer.from(Array.from({ length: 1 + random.int(8) }, () => random.int(256))))
  },
  function repeatByte(bytes, place, random) {
    const run = Buffer.alloc(random.chance(0.1) ? 20_000 : 1 + random.int(40), random.pick([...alphabet]))
    return insert(bytes, place(), run)
  },
  function repeatSlice(bytes, place, random) {
    const from = place()
    const slice = bytes.subarray(from, from + 1 + random.int(64))
    return insert(bytes, place(), Buffer.concat(Array.from({ length: random.int(random.chance(0.1) ? 2000 : 100) }, () => slice))) // biome-ignore format: a line
  },
  function longRun(bytes, place, random) {
    // The compression reduces it to almost nothing.
    if (!random.chance(0.1)) return bytes
    return insert(bytes, place(), Buffer.alloc(2 ** (12 + random.int(9)), random.pick([0, 0x20, ...alphabet])))
  },
  function copySlice(bytes, place, random) {
    const from = place()
    const slice = Buffer.from(bytes.subarray(from, from + 1 + random.int(200)))
    if (random.chance(0.5)) return insert(bytes, place(), slice)
    slice.copy(bytes, place())
    return bytes
  },
  function remove(bytes, place, random) {
    const at = place()
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random.int(random.chance(0.2) ? 600 : 8))])
  },
  function fill(bytes, place, random) {
    const at = place()
    return bytes.fill(random.pick([0, 0xff, 0x20, 0x30]), at, Math.min(at + 1 + random.int(32), bytes.length))
  },
]

function insert(bytes: Buffer, at: number, more: Uint8Array): Buffer {
  return Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)])
}
