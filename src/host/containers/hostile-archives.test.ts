/** Small archives that describe much: refused before it is allocated. */
import { expect, test } from "vitest"
import { npy } from "../../../bench/fuzz-seeds.ts"
import { peakGrowth } from "../../../test/peak-memory.ts"
import { type Pickled, pickle, type Storage, tensorOf, torchArchive } from "../../../test/torch-archive.ts"
import { zipArchive } from "../../../test/zip-archive.ts"
import { float32ToFloat16 } from "../../core/arrays/half.ts"
import { bytesAsSource } from "../../core/containers/safetensors.ts"
import { UserError } from "../../core/errors.ts"
import { readNpz } from "./npz.ts"
import { readTensorFile } from "./open-tensor-file.ts"
import { readZipDirectory } from "./zip.ts"

const floats = new Float32Array(2 ** 18).fill(1)
const bytesOf = (values: Float32Array) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
const storage: Storage = { type: "FloatStorage", key: "0", values: floats }
const all = tensorOf(storage, { shape: [floats.length], strides: [1] })
const dictOf = (count: number, value: Pickled) =>
  new Map<Pickled, Pickled>(Array.from({ length: count }, (_, i) => [`w${i}`, value]))
const openTorch = (value: Pickled, storages: readonly Storage[] = [storage]) =>
  readTensorFile(bytesAsSource("model.pt", torchArchive(value, storages)))

async function refusal(run: () => unknown): Promise<string> {
  const error = await Promise.resolve().then(run).then(() => null, (error: unknown) => error) // biome-ignore format: a chain
  expect(error).toBeInstanceOf(UserError)
  expect((error as UserError).message).not.toMatch(/\n/)
  return (error as UserError).message
}

test("weights that are tied are read; a storage that is repeated beyond 16 times the file is not", async () => {
  const tied = await openTorch(dictOf(5, all))
  for (const name of ["w0", "w1", "w2", "w3", "w4"])
    expect(Buffer.compare(bytesOf(tied.readFloat32(name)), bytesOf(floats))).toBe(0)
  const small = { ...storage, values: floats.subarray(0, 1000) }
  const many = await openTorch(dictOf(200, tensorOf(small, { shape: [1000], strides: [1] })), [small])
  expect(many.readFloat32("w199")).toEqual(small.values)
  expect(await refusal(() => openTorch(dictOf(200, all)))).toMatch(
    /^model\.pt: with tensor "w17" it would take 18874368 bytes of memory, and a file of its size may take \d+$/,
  )
})

test("a float16 weight under three names is read", async () => {
  const halves: Storage = { type: "HalfStorage", key: "0", values: float32ToFloat16(floats) }
  const whole = tensorOf(halves, { shape: [floats.length], strides: [1] })
  expect((await openTorch(dictOf(3, whole), [halves])).readFloat32("w2")).toEqual(floats)
})

test("thousands of small tensors are read, with storages of their own or parts of one", async () => {
  const storages = Array.from({ length: 2000 }, (_, i): Storage => {
    return { type: "FloatStorage", key: String(i), values: new Float32Array(16).fill(i) }
  })
  const own = new Map<Pickled, Pickled>(
    storages.map((one, i) => [`w${i}`, tensorOf(one, { shape: [16], strides: [1] })]),
  )
  expect((await openTorch(own, storages)).readFloat32("w1999")).toEqual(new Float32Array(16).fill(1999))
  const buffer: Storage = { type: "FloatStorage", key: "0", values: Float32Array.from({ length: 20_000 * 64 }, (_, i) => i) } // biome-ignore format: a line
  const parts = new Map<Pickled, Pickled>(
    Array.from({ length: 20_000 }, (_, i) => [
      `encoder.w${i}`,
      tensorOf(buffer, { shape: [64], strides: [1], offset: 64 * i }),
    ]),
  )
  const read = await openTorch(parts, [buffer])
  expect(read.readFloat32("encoder.w19999")).toEqual(Float32Array.from({ length: 64 }, (_, i) => 19_999 * 64 + i))
})

test("what lies between a tensor's elements is read with them, and counts", async () => {
  const ends = tensorOf(storage, { shape: [2], strides: [floats.length - 1] })
  expect((await openTorch(dictOf(3, ends))).readFloat32("w2")).toEqual(Float32Array.of(1, 1))
  expect(await refusal(() => openTorch(dictOf(200, ends)))).toContain('with tensor "w17" it would take 18874368 bytes')
})

test("bytes count as the floats they are read as", async () => {
  const bytes: Storage = { type: "ByteStorage", key: "0", values: new Uint8Array(2 ** 20) }
  const once = tensorOf(bytes, { shape: [2 ** 20], strides: [1] })
  expect((await openTorch(dictOf(4, once), [bytes])).readFloat32("w3")).toHaveLength(2 ** 20)
  expect(await refusal(() => openTorch(dictOf(5, once), [bytes]))).toContain('with tensor "w4" it would take 20971520')
})

test("an empty tensor of any shape takes nothing", async () => {
  const empty = await openTorch(dictOf(1, tensorOf(storage, { shape: [2 ** 40, 0], strides: [2 ** 40, 1] })))
  expect(empty.readFloat32("w0")).toEqual(new Float32Array(0))
})

const repeated = (before: string, each: string, count: number) =>
  torchArchive(null, [], { extra: { "data.pkl": Buffer.from(`\x80\x02${before}${each.repeat(count)}.`, "latin1") } })

test.each([
  // A memoized list of 20,000 pairs, from which a dict is made again and again.
  ["dicts of one list", repeated(`ccollections\nOrderedDict\nq\0](${"K\x01K\x01\x86".repeat(20_000)}e\x85q\x01`, "h\0h\x01R", 20_000)],
  ["sets of one value each", repeated("", "(N\x91", 500_000)],
  ["short texts", repeated("", "U\x02ab", 1_500_000)],
  ["empty dicts", repeated("", "}", 1_000_000)],
  ["empty bytes", repeated("", "C\0", 500_000)],
])("a pickle of %s is refused", async (_, bytes) => {
  const before = await peakGrowth(() => {})
  let message = ""
  const growth = await peakGrowth(async () => {
    message = await refusal(() => readTensorFile(bytesAsSource("model.pt", bytes)))
  })
  expect(message).toMatch(/^model\.pt: with the values of its pickle it would take \d+ bytes of memory/)
  expect(growth - before).toBeLessThan(2 ** 26)
}) // biome-ignore format: a table

test("a directory has as many entries as the archive has bytes for", async () => {
  const archive = (count: number) =>
    bytesAsSource("a.zip", zipArchive(new Map(Array.from({ length: count }, (_, i) => [String(i), new Uint8Array(0)]))))
  expect((await readZipDirectory(archive(1000))).size).toBe(1000)
  expect(await refusal(() => readZipDirectory(archive(30_000)))).toMatch(
    /^a\.zip: with a directory of 30000 entries it would take 30720000 bytes of memory/,
  )
})

const zeros = (megabytes: number) => npy("<f4", false, [megabytes, 2 ** 18], new Float32Array(megabytes * 2 ** 18))
const archiveOf = (count: number, array: Uint8Array) =>
  zipArchive(new Map(Array.from({ length: count }, (_, i) => [`${i}.npy`, array])), { deflate: true })

test("arrays of an archive count together, before one is inflated", async () => {
  expect((await readNpz(archiveOf(1, npy("<f4", false, [1_000_000], new Float32Array(1_000_000))))).get("0")?.shape).toEqual([1_000_000]) // biome-ignore format: a line
  const bytes = archiveOf(10, zeros(16))
  let message = ""
  const growth = await peakGrowth(async () => {
    message = await refusal(() => readNpz(bytes, "x.npz"))
  })
  expect(bytes.length).toBeLessThan(2 ** 21)
  expect(message).toMatch(/^x\.npz: with "0\.npy" it would take 16777344 bytes of memory, and a file of its size may/)
  expect(growth).toBeLessThan(2 ** 26)
  const halves = archiveOf(10, zeros(1))
  expect(await refusal(() => readNpz(halves, "x.npz"))).toMatch(/^x\.npz: with "\d+\.npy" it would take \d+ bytes/)
})

test("arrays that shrink to a sixteenth are read", async () => {
  const values = Float32Array.from({ length: 2 ** 21 }, (_, i) => (i % 32 === 0 ? Math.sin(i) : 0))
  const bytes = archiveOf(1, npy("<f4", false, [2 ** 21], values))
  expect(bytes.length).toBeLessThan(values.byteLength / 8)
  const read = (await readNpz(bytes)).get("0")!.values as Float32Array
  expect(Buffer.compare(bytesOf(read), bytesOf(values))).toBe(0)
})

test("a header that NumPy would not read is refused", async () => {
  const long = Buffer.concat([Buffer.from("\x93NUMPY\x02\0\x40\x9c\0\0", "latin1"), Buffer.alloc(40_000, "{")])
  expect(await refusal(() => readNpz(zipArchive(new Map([["a.npy", long]])), "x.npz"))).toBe(
    'x.npz, "a.npy": a header of 40000 bytes is more than NumPy reads',
  )
  const blanks = npy("<f4", false, [0], new Float32Array(0), 2)
  const spaces = Buffer.concat([blanks.subarray(0, 8), Buffer.from([0x10, 0x27, 0, 0]), Buffer.from(`{'shape': (1${" ".repeat(9_900)}x`.padEnd(10_000))]) // biome-ignore format: a line
  const begin = process.cpuUsage()
  expect(await refusal(() => readNpz(zipArchive(new Map([["a.npy", spaces]])), "x.npz"))).toContain("is damaged")
  expect(process.cpuUsage(begin).user / 1e6).toBeLessThan(1)
})

test("a tensor of 64 dimensions is turned as fast as one of two", async () => {
  const ones = new Array<number>(62).fill(1)
  /** A processor's time: what else the machine does takes none. */
  const milliseconds = async (more: readonly number[]) => {
    const turned = tensorOf(storage, { shape: [512, 512, ...more], strides: [1, 512, ...more] })
    const file = await openTorch(dictOf(1, turned))
    const begin = process.cpuUsage()
    for (let i = 0; i < 5; i++) expect(file.readFloat32("w0")).toHaveLength(2 ** 18)
    const { user, system } = process.cpuUsage(begin)
    return (user + system) / 1000
  }
  await milliseconds([])
  expect(await milliseconds(ones)).toBeLessThan(6 * (await milliseconds([])) + 20)
})

/** A tensor's pickle in which opcodes stand instead of one of its integers. */
function withInstead(of: number, opcodes: string): Uint8Array {
  const integer = Buffer.from([0x4a, ...new Uint8Array(Int32Array.of(of).buffer)])
  const bytes = Buffer.from(pickle(dictOf(1, tensorOf(storage, { shape: [77_777], strides: [1] }))))
  const at = bytes.indexOf(integer)
  expect(at).toBeGreaterThan(0)
  return Buffer.concat([bytes.subarray(0, at), Buffer.from(opcodes, "latin1"), bytes.subarray(at + 5)])
}

test.each([
  ["count of its storage", floats.length, "its storage has no number of elements"],
  ["size", 77_777, "its shape is not a list of sizes"],
])("a tuple of one tuple twice, 40 times over, is never written out as the %s", async (_, integer, message) => {
  const bytes = withInstead(integer, `K\x01\x85${"2\x86".repeat(40)}`)
  const archive = torchArchive(null, [storage], { extra: { "data.pkl": bytes } })
  const refused = await refusal(() => readTensorFile(bytesAsSource("model.pt", archive)))
  expect(refused).toBe(`model.pt: tensor "w0": ${message}`)
})
