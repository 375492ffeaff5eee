/**
 * Our own encoding of embeddings (`.cemb`), about half the bytes of bfloat16's. A teacher's part is a unit vector, so
 * one step for all components bounds the error whatever the data are: at the step 1/900 no component is off by more
 * than 1/1800, so a part of 768 has a cosine of at least 0.99988 to the original, and 0.99996 is expected.
 * Rows of one sample resemble each other, so a row may be stored as its difference from the mean of the rows before it.
 * Byte by byte: docs/formats.md.
 */
import { crc32, deflateRawSync, inflateRawSync } from "node:zlib"
import { messageOf, quoted, UserError } from "../../core/errors.ts"
import { runLengths } from "../../host/containers/zip-write.ts"
import type { Embeddings } from "./sample.ts"
import { EmbeddingBudget } from "./sample-budget.ts"

/** The step to which components are rounded; stored as the float32 next to it. */
export const compactStep = Math.fround(1 / 900)

const magic = "CEMB"
const version = 1

/** How a row is predicted: not at all, or by the rounded mean of the rows before it. */
type Predictor = 0 | 1

/** Throws UserError on components that no unit vector has: beyond about 36, or not numbers. */
export function encodeCompact(embeddings: ReadonlyMap<string, Embeddings>): Uint8Array {
  const parts: Uint8Array[] = [Buffer.from(magic), Uint8Array.of(version, embeddings.size)]
  for (const [name, array] of embeddings) parts.push(...encodeArray(name, array))
  const content = Buffer.concat(parts)
  const checksum = Buffer.alloc(4)
  checksum.writeUInt32LE(crc32(content))
  return Buffer.concat([content, checksum])
}

/** Throws a UserError that begins with `name` on anything damaged, and where it would take more than `budget` allows. */
export function decodeCompact(
  bytes: Uint8Array,
  name: string,
  budget = new EmbeddingBudget(bytes.length, name),
): Map<string, Embeddings> {
  const input = new Input(bytes, name)
  const arrays = new Map<string, Embeddings>()
  for (let count = input.begin(); count > 0; count--) {
    const key = input.text(input.uint8())
    if (arrays.has(key)) throw input.error(`${quoted(key)} occurs twice`)
    arrays.set(key, decodeArray(input, key, budget))
  }
  input.end()
  return arrays
}

// ------------------------------------------------------------------------------------------------------ writing

function encodeArray(name: string, { rows, width, values }: Embeddings): Uint8Array[] {
  const steps = quantize(name, values)
  const predicted = differences(steps, rows, width)
  const predictor: Predictor = magnitude(predicted) < magnitude(steps) ? 1 : 0
  const planes = deflateRawSync(planesOf(name, predictor ? predicted : steps), runLengths)
  const path = Buffer.from(name)
  const head = Buffer.alloc(17)
  head.writeUInt8(predictor, 0)
  head.writeFloatLE(compactStep, 1)
  for (const [i, number] of [rows, width, planes.length].entries()) head.writeUInt32LE(number, 5 + 4 * i)
  return [Uint8Array.of(path.length), path, head, planes]
}

function quantize(name: string, values: Float32Array): Float64Array {
  const steps = new Float64Array(values.length)
  for (let i = 0; i < steps.length; i++) steps[i] = Math.round(values[i]! / compactStep)
  if (Number.isFinite(magnitude(steps))) return steps
  throw new UserError(`${quoted(name)} has values that are not numbers`, "compute the embeddings again")
}

/** Each row minus the rounded mean of the rows before it; the first row unchanged. */
function differences(steps: Float64Array, rows: number, width: number): Float64Array {
  const result = steps.slice()
  const sums = new Float64Array(width)
  for (let row = 0; row < rows; row++) {
    for (let i = 0, at = row * width; i < width; i++, at++) {
      if (row > 0) result[at]! -= Math.floor(sums[i]! / row + 0.5)
      sums[i]! += steps[at]!
    }
  }
  return result
}

/** A measure that grows with the bits of the Huffman codes. */
function magnitude(steps: Float64Array): number {
  let total = 0
  for (let i = 0; i < steps.length; i++) total += Math.abs(steps[i]!)
  return total
}

/** Zigzag (0, -1, 1, -2, ... -> 0, 1, 2, 3, ...) in 16 bits: all low bytes, then all high bytes. */
function planesOf(name: string, steps: Float64Array): Uint8Array {
  const planes = new Uint8Array(2 * steps.length)
  for (let i = 0; i < steps.length; i++) {
    const code = steps[i]! < 0 ? -2 * steps[i]! - 1 : 2 * steps[i]!
    if (code > 0xffff) throw tooLarge(name)
    planes[i] = code & 0xff
    planes[steps.length + i] = code >>> 8
  }
  return planes
}

function tooLarge(name: string): UserError {
  return new UserError(
    `${quoted(name)} has a component beyond ${Math.floor(0x7fff * compactStep)}, and the compact layout is for unit vectors`,
    "normalise the embeddings, or write npz",
  )
}

// ------------------------------------------------------------------------------------------------------ reading

function decodeArray(input: Input, key: string, budget: EmbeddingBudget): Embeddings {
  const predictor = input.uint8()
  if (predictor > 1) throw input.error(`${quoted(key)} has predictor ${predictor}, not 0 or 1`)
  const step = input.float32()
  if (!(step > 0 && step < Number.POSITIVE_INFINITY)) throw input.error(`${quoted(key)} has a step of ${step}`)
  const [rows, width, length] = [input.uint32(), input.uint32(), input.uint32()]
  budget.take(2 * rows * width, quoted(key))
  budget.takeMatrix(key, rows, width)
  const planes = inflate(input, key, input.bytes(length), 2 * rows * width)
  return { rows, width, values: restore(planes, rows, width, predictor, step), dtype: "float32" }
}

function inflate(input: Input, key: string, deflated: Uint8Array, size: number): Uint8Array {
  try {
    // Inflated in one piece: several would have to be copied into one.
    const planes = inflateRawSync(deflated, { maxOutputLength: Math.max(size, 1), chunkSize: Math.max(size + 1, 64) })
    if (planes.length === size) return planes
    throw new Error(`${planes.length} bytes instead of ${size}`)
  } catch (error) {
    throw input.error(`${quoted(key)} cannot be inflated: ${messageOf(error)}`)
  }
}

function restore(planes: Uint8Array, rows: number, width: number, predictor: number, step: number): Float32Array {
  const values = new Float32Array(rows * width)
  const sums = new Float64Array(width)
  for (let row = 0; row < rows; row++) {
    for (let i = 0, at = row * width; i < width; i++, at++) {
      const code = planes[at]! | (planes[values.length + at]! << 8)
      const difference = code & 1 ? -(code + 1) / 2 : code / 2
      const predicted = predictor === 1 && row > 0 ? Math.floor(sums[i]! / row + 0.5) : 0
      sums[i]! += predicted + difference
      values[at] = (predicted + difference) * step
    }
  }
  return values
}

/** Reads the bytes from front to back. */
class Input {
  private readonly buffer: Buffer
  private offset = 0

  constructor(
    bytes: Uint8Array,
    private readonly name: string,
  ) {
    this.buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** Checks the file's format and that it is complete; returns the number of arrays. */
  begin(): number {
    const { buffer } = this
    if (buffer.length < 10 || buffer.toString("latin1", 0, 4) !== magic)
      throw this.error(`it does not begin with ${magic}`)
    if (buffer[4] !== version) throw this.error(`version ${buffer[4]} is not ${version}`)
    const end = buffer.length - 4
    if (crc32(buffer.subarray(0, end)) !== buffer.readUInt32LE(end)) throw this.error("its checksum (CRC-32) is wrong")
    this.offset = 5
    return this.uint8()
  }

  end(): void {
    const rest = this.buffer.length - 4 - this.offset
    if (rest > 0) throw this.error(`${rest} bytes follow the last array`)
  }

  uint8(): number {
    return this.bytes(1)[0]!
  }

  uint32(): number {
    return this.bytes(4).readUInt32LE()
  }

  float32(): number {
    return this.bytes(4).readFloatLE()
  }

  text(length: number): string {
    return this.bytes(length).toString("utf8")
  }

  bytes(length: number): Buffer {
    if (length > this.buffer.length - 4 - this.offset) throw this.error("it ends too early")
    this.offset += length
    return this.buffer.subarray(this.offset - length, this.offset)
  }

  error(what: string): UserError {
    return new UserError(`${this.name}: ${what}`, "the compact embeddings are damaged: get or write the shard again")
  }
}
