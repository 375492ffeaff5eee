import { expect, test } from "vitest"
import { float32ToBfloat16, float32ToFloat16 } from "../arrays/half.ts"
import { Random } from "../arrays/random.ts"
import { UserError } from "../errors.ts"
import { bytesAsSource, type Dtype, SafetensorsFile, safetensorsChunks, type TensorToWrite } from "./safetensors.ts"

const floats = Float32Array.of(0, 1, -2, 0.5, 3, -4)
const tensors = [
  tensor("short", "I16", [2], Int16Array.of(-300, 2)),
  tensor("byte", "I8", [2], Int8Array.of(-3, 2)),
  tensor("flag", "BOOL", [3], Uint8Array.of(1, 0, 1)),
  tensor("steps", "I64", [], BigInt64Array.of(7n)),
  tensor("weight", "F32", [2, 3], floats),
  tensor("double", "F64", [6], Float64Array.from(floats)),
  tensor("half", "F16", [6], float32ToFloat16(floats)),
  tensor("brain", "BF16", [3, 2], float32ToBfloat16(floats)),
  tensor("none", "F32", [0, 4], new Float32Array(0)),
  tensor("int", "I32", [2], Int32Array.of(-1, 2)),
]
const written = concat(safetensorsChunks(tensors, { format: "pt", note: 'a "quoted" ß' }))

test("what is written is read, in every type", () => {
  const file = open(written)
  expect(file.metadata).toEqual({ format: "pt", note: 'a "quoted" ß' })
  expect([...file.tensors.keys()]).toEqual(tensors.map(({ name }) => name))
  for (const { name, dtype, shape, read } of tensors) {
    expect(file.tensors.get(name)).toMatchObject({ dtype, shape })
    expect(file.read(name)).toEqual(read())
  }
  for (const name of ["weight", "double", "half", "brain"]) expect(file.readFloat32(name)).toEqual(floats)
  expect(file.readFloat32("steps")).toEqual(Float32Array.of(7))
})

test("the layout is the reference's: header padded to 8 bytes, every tensor aligned", () => {
  const length = Number(new DataView(written.buffer).getBigUint64(0, true))
  expect(length % 8).toBe(0)
  for (const { dtype, begin } of open(written).tensors.values()) {
    expect(begin % { F64: 8, I64: 8, F32: 4, I32: 4, F16: 2, BF16: 2, I16: 2, I8: 1, U8: 1, BOOL: 1 }[dtype]).toBe(0)
  }
})

test("a tensor that is not aligned is read all the same", () => {
  const header =
    '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}}'
  const file = open(file8(header, Uint8Array.of(9, 0, 0, 128, 63)))
  expect(file.read("b")).toEqual(Float32Array.of(1))
  const inBuffer = Buffer.concat([Buffer.of(0), file8(header, Uint8Array.of(9, 0, 0, 128, 63))]).subarray(1)
  expect(open(inBuffer).read("b")).toEqual(Float32Array.of(1))
})

const entry = (fields: object) => JSON.stringify({ w: { dtype: "F32", shape: [2], data_offsets: [0, 8], ...fields } })
const data = new Uint8Array(8)

test.each([
  ["nothing", new Uint8Array(0), "0 bytes are too few"],
  ["a cut header", written.subarray(0, 40), "but the file has 40"],
  ["cut data", written.subarray(0, written.length - 1), 'tensor "flag": ends at byte'],
  ["data after the end", Uint8Array.of(...written, 0), "of which the header describes"],
  ["a huge header", Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 0, 0), "a header of 4294967296 bytes"],
  ["not JSON", file8("{oops}", data), "the header is not JSON"],
  ["not an object", file8("[1]", data), "not a JSON object"],
  ["bytes that are not text", file8(Uint8Array.of(0x7b, 0xff, 0x7d), data), "not UTF-8"],
  ["a name twice", file8(`{"w":${JSON.stringify({})},"w":{}}`, data), '"w" appears twice'],
  ["a field twice", file8('{"w":{"dtype":"F32","dtype":"F32"}}', data), '"dtype" appears twice'],
  ["an unknown type", file8(entry({ dtype: "F8_E4M3" }), data), 'tensor "w": dtype "F8_E4M3" is not one of F64'],
  ["an inherited type", file8(entry({ dtype: "constructor" }), data), "is not one of"],
  ["a negative size", file8(entry({ shape: [-2] }), data), "shape is not a list of sizes"],
  ["a fractional size", file8(entry({ shape: [0.5] }), data), "shape is not a list of sizes"],
  ["a size too large", file8(entry({ shape: [2 ** 40, 2 ** 40] }), data), "stored are 8"],
  ["a reversed range", file8(entry({ data_offsets: [8, 0] }), data), "stored are -8"],
  ["half a range", file8(entry({ data_offsets: [0] }), data), "data_offsets are not two positions"],
  ["a shape of other size", file8(entry({ shape: [3] }), data), "[3] of F32 is 12 bytes, stored are 8"],
  ["a hole", file8(entry({ data_offsets: [4, 12] }), new Uint8Array(12)), "begins at 4, but the one before ends at 0"],
  ["an entry that is not an object", file8('{"w":null}', data), "is not one of"],
  ["metadata of numbers", file8('{"__metadata__":{"a":1}}', new Uint8Array(0)), "__metadata__ is not"],
  [
    "a deep nest",
    file8(`{"w":{"dtype":${"[".repeat(50_000)}${"]".repeat(50_000)}}}`, data),
    "not a JSON object of objects",
  ],
  ["a wide nest", file8(`{"w":[${"[],".repeat(50_000)}[]]}`, data), "not a JSON object of objects"],
  ["a text without an end", file8(`{"${'\\"'.repeat(2e4)}`, data), "the header is not JSON"],
  [
    "an overlap",
    file8(
      '{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}',
      data,
    ),
    'tensor "b": begins at 4, inside another tensor',
  ],
])("%s is refused in one line that names the file", (_, bytes, message) => {
  const error = errorOf(() => open(bytes))
  expect(error).toBeInstanceOf(UserError)
  expect(error?.message).toContain(message)
  expect(error?.message).toMatch(/^model\.safetensors[^\n]*$/)
})

test("a missing tensor is a UserError", () => {
  expect(() => open(written).read("bias")).toThrow('model.safetensors: no tensor named "bias"')
})

test("5,000 mutations give a UserError or tensors that the header describes", () => {
  const random = new Random(5)
  let refused = 0
  for (let i = 0; i < 5000; i++) {
    const bytes = mutate(written, random)
    const error = errorOf(() => checkConsistent(bytes))
    if (error && !(error instanceof UserError)) throw error
    if (error) refused++
  }
  expect(refused).toBeGreaterThan(2500)
})

/** Reads every tensor, and compares with a reading that trusts the file. */
function checkConsistent(bytes: Uint8Array): void {
  const file = open(bytes)
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true))
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)))
  let total = 8 + length
  for (const [name, { dtype, shape }] of file.tensors) {
    const [begin, end] = header[name].data_offsets
    const values = file.read(name)
    const stored = bytes.subarray(8 + length + begin, 8 + length + end)
    expect(values.length).toBe(shape.reduce((product, dim) => product * dim, 1))
    expect(Buffer.compare(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), stored)).toBe(0)
    expect(header[name]).toMatchObject({ dtype, shape })
    total += stored.length
  }
  expect(total).toBe(bytes.length)
}

function mutate(original: Uint8Array, random: Random): Uint8Array<ArrayBuffer> {
  const bytes = [...original]
  const headerEnd = 8 + Number(new DataView(original.buffer).getBigUint64(0, true))
  const place = () => random.int(random.chance(0.8) ? headerEnd : bytes.length)
  for (let n = random.int(3); n >= 0; n--) {
    const how = random.int(5)
    if (how === 0) bytes[place()] = random.int(256)
    if (how === 1) bytes[place()]! ^= 1 << random.int(8)
    if (how === 2) bytes.splice(place(), 1 + random.int(4))
    if (how === 3) bytes.splice(place(), 0, ...bytes.slice(place(), place()).slice(0, 40))
    if (how === 4) bytes[place()] = random.pick([...'0123456789,:[]{}"-. \\'].map((c) => c.charCodeAt(0)))
  }
  return Uint8Array.from(random.chance(0.1) ? bytes.slice(0, random.int(bytes.length)) : bytes)
}

function tensor(name: string, dtype: Dtype, shape: number[], values: ArrayBufferView): TensorToWrite {
  return { name, dtype, shape, read: () => values }
}

const empty = (count: number) =>
  `{${Array.from({ length: count }, (_, i) => `"${i}":{"dtype":"F32","shape":[${2 ** 40},0],"data_offsets":[0,0]}`)}}`

test("a header has as many tensors as the file has values for", () => {
  const nothing = open(file8(empty(1000), new Uint8Array(0)))
  expect(nothing.tensors.size).toBe(1000)
  expect(nothing.readFloat32("7")).toEqual(new Float32Array(0))
  const begin = process.cpuUsage()
  const error = errorOf(() => open(file8(empty(100_000), new Uint8Array(0))))
  expect(error).toBeInstanceOf(UserError)
  expect(error?.message).toMatch(
    /^model\.safetensors: with a header of 100001 objects it would take \d+ bytes of memory, and a file of its size/,
  )
  expect(process.cpuUsage(begin).user / 1e6).toBeLessThan(1)
})

test.each<[string, TensorToWrite["dtype"], number[], ArrayBufferView]>([
  ["integers", "I64", [], BigInt64Array.of(7n)],
  ["float16 matrices", "F16", [4, 8], new Uint16Array(32).fill(0x3c00)],
])("2,500 small tensors are read: %s", (_, dtype, shape, values) => {
  const many = Array.from({ length: 2500 }, (_, i) => tensor(`visual.trunk.stages.${i}.weight`, dtype, shape, values))
  const file = open(concat(safetensorsChunks(many)))
  expect(file.tensors.size).toBe(2500)
  expect(file.read("visual.trunk.stages.2499.weight")).toEqual(values)
})

test("a header has as many numbers and texts as the file has values for", () => {
  const dims = `{"w":{"dtype":"F32","shape":[0${",1".repeat(1_000_000)}],"data_offsets":[0,0]}}`
  expect(errorOf(() => open(file8(dims, new Uint8Array(0))))?.message).toContain("a header of 2 objects it would take")
  const texts = `{"__metadata__":{${Array.from({ length: 400_000 }, (_, i) => `"${i}":""`)}}}`
  expect(errorOf(() => open(file8(texts, new Uint8Array(0))))?.message).toContain("a header of 2 objects it would take")
})

test("a text of ten million quotes is read", () => {
  const note = '"'.repeat(10_000_000)
  const { metadata } = open(file8(JSON.stringify({ __metadata__: { note } }), new Uint8Array(0)))
  expect(metadata.note === note).toBe(true)
})

function open(bytes: Uint8Array): SafetensorsFile {
  return new SafetensorsFile(bytesAsSource("model.safetensors", bytes))
}

/** A file with this header and data. */
function file8(header: string | Uint8Array, data: Uint8Array): Uint8Array {
  const text = typeof header === "string" ? new TextEncoder().encode(header) : header
  const length = new Uint8Array(BigUint64Array.of(BigInt(text.length)).buffer)
  return concat([length, text, data])
}

function concat(chunks: Iterable<Uint8Array>): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.concat([...chunks]))
}

function errorOf(run: () => unknown): Error | undefined {
  try {
    run()
    return undefined
  } catch (error) {
    return error as Error
  }
}
