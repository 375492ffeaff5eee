/** The header of a safetensors file, checked against the file's bytes: what it says about every tensor is true. */
import { Budget } from "../budget.ts"
import { messageOf, oneLine, quoted, UserError } from "../errors.ts"
import { isObject, isSizes } from "../json.ts"
import type { RandomAccess } from "../random-access.ts"

/** Type names of the format -> the array that holds such values (F16 and BF16 as bits, BOOL as bytes). */
export const dtypes = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const

export type Dtype = keyof typeof dtypes

export interface TensorEntry {
  readonly dtype: Dtype
  readonly shape: readonly number[]
  /** First byte and the one after the last, counted from the end of the header. */
  readonly begin: number
  readonly end: number
}

interface Header {
  readonly metadata: Readonly<Record<string, string>>
  readonly tensors: ReadonlyMap<string, TensorEntry>
  /** Where in the file the tensors begin. */
  readonly dataStart: number
}

/** The reference implementation's limit. */
const largestHeader = 100_000_000

/**
 * Bytes that a header may take in memory: models have few tensors for their size, and 80 bytes that describe an empty tensor
 * become 700. 10,000 tensors fit into the constant; above it, each tensor needs about 200 bytes of values.
 */
const headerBudget = (size: number) => 2 ** 23 + 4 * size

/** Bytes measured in V8: for a header's byte (itself, as text, as names), for an object with its entry, and for each value. */
const cost = { byte: 4, object: 512, value: 64 }

/** Throws UserError on anything the format forbids, and on more tensors than a file of this size can have values for. */
export function parseHeader(source: RandomAccess): Header {
  const length = headerLength(source)
  const budget = new Budget(headerBudget(source.size), source.name)
  budget.take(cost.byte * length, `a header of ${length} bytes`)
  const entries = Object.entries(parseJson(source, source.read(8, length), budget))
  const dataStart = 8 + length
  const tensors = new Map<string, TensorEntry>()
  for (const [name, value] of entries) {
    if (name !== "__metadata__") tensors.set(name, parseEntry(source, name, value))
  }
  checkLayout(source, tensors, source.size - dataStart)
  return { metadata: parseMetadata(source, entries), tensors, dataStart }
}

function headerLength(source: RandomAccess): number {
  if (source.size < 8) fail(source, `${source.size} bytes are too few for a safetensors file`)
  const first = source.read(0, 8)
  const length = Number(new DataView(first.buffer, first.byteOffset).getBigUint64(0, true))
  if (length > largestHeader) fail(source, `a header of ${length} bytes is more than any safetensors file has`)
  if (8 + length > source.size) fail(source, `the header needs ${8 + length} bytes, but the file has ${source.size}`)
  return length
}

function parseJson(source: RandomAccess, bytes: Uint8Array, budget: Budget): object {
  const text = decodeText(source, bytes)
  const { objects, values } = checkNesting(source, text)
  budget.take(cost.object * objects + cost.value * values, `a header of ${objects} objects`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    fail(source, `the header is not JSON (${oneLine(messageOf(error))})`)
  }
  if (!isObject(value)) fail(source, "the header is not a JSON object")
  const twice = repeatedKey(text)
  if (twice !== undefined) fail(source, `${quoted(twice)} appears twice in the header`)
  return value
}

function decodeText(source: RandomAccess, bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    fail(source, "the header is not UTF-8 text")
  }
}

/** Counts the objects in the header's object, and lists in them. Other nesting is refused: it could turn one byte into an object of 30. */
function checkNesting(source: RandomAccess, text: string): { objects: number; values: number } {
  let [depth, objects, values] = [0, 0, 1]
  for (let i = 0; i < text.length; i++) {
    const character = text[i]
    if (character === '"') i = endOfString(text, i)
    else if (character === ",") values++
    else if (character === "}" || character === "]") depth--
    else if (character === "{" || character === "[") {
      if (character === "{") objects++
      if (++depth > 3 || (depth === 3) !== (character === "["))
        fail(source, "the header is not a JSON object of objects")
    }
  }
  return { objects, values }
}

/** The first key that an object of valid JSON `text` has twice; JSON.parse would drop the earlier value. */
function repeatedKey(text: string): string | undefined {
  const scopes: Set<string>[] = []
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "{") scopes.push(new Set())
    else if (text[i] === "}") scopes.pop()
    else if (text[i] === '"') {
      const start = i
      i = endOfString(text, start)
      if (!isKey(text, i)) continue
      const literal = text.slice(start, i + 1)
      const key: string = literal.includes("\\") ? JSON.parse(literal) : literal.slice(1, -1)
      if (scopes.at(-1)!.has(key)) return key
      scopes.at(-1)!.add(key)
    }
  }
  return undefined
}

/** Position of the quote that closes the string which begins at `start`; the text's end where there is no such quote. */
function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === '"') return i
    if (text[i] === "\\") i++
  }
  return text.length
}

/** Whether a colon follows the string that ends at `end`. */
function isKey(text: string, end: number): boolean {
  let next = end + 1
  while (next < text.length && " \t\n\r".includes(text[next]!)) next++
  return text[next] === ":"
}

function parseMetadata(source: RandomAccess, entries: [string, unknown][]): Record<string, string> {
  const metadata: unknown = entries.find(([name]) => name === "__metadata__")?.[1] ?? {}
  if (!isObject(metadata) || Object.values(metadata).some((value) => typeof value !== "string")) {
    fail(source, "__metadata__ is not an object of strings")
  }
  return metadata as Record<string, string>
}

function parseEntry(source: RandomAccess, name: string, value: unknown): TensorEntry {
  const fields: Record<string, unknown> = isObject(value) ? { ...value } : {}
  const { dtype, shape, data_offsets: range } = fields
  if (typeof dtype !== "string" || !Object.hasOwn(dtypes, dtype)) {
    const found = typeof dtype === "string" ? ` ${quoted(dtype)}` : ""
    fail(source, `dtype${found} is not one of ${Object.keys(dtypes).join(", ")}`, name)
  }
  if (!isSizes(shape)) fail(source, "shape is not a list of sizes", name)
  if (!isSizes(range) || range.length !== 2) fail(source, "data_offsets are not two positions", name)
  const [begin, end] = range as [number, number]
  const needed = shape.reduce((product, dim) => product * dim, dtypes[dtype as Dtype].BYTES_PER_ELEMENT)
  if (end - begin !== needed)
    fail(source, `${oneLine(`[${shape}]`)} of ${dtype} is ${needed} bytes, stored are ${end - begin}`, name)
  return { dtype: dtype as Dtype, shape, begin, end }
}

/** Tensors must follow each other without holes or overlaps, up to the last byte of the file. */
function checkLayout(source: RandomAccess, tensors: ReadonlyMap<string, TensorEntry>, available: number): void {
  let end = 0
  for (const [name, entry] of [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end)) {
    if (entry.begin < end) fail(source, `begins at ${entry.begin}, inside another tensor that ends at ${end}`, name)
    if (entry.begin > end) fail(source, `begins at ${entry.begin}, but the one before ends at ${end}`, name)
    if (entry.end > available) fail(source, `ends at byte ${entry.end} of ${available}`, name)
    end = entry.end
  }
  if (end !== available) fail(source, `${available} bytes of data, of which the header describes ${end}`)
}

function fail(source: RandomAccess, what: string, tensor?: string): never {
  const where = tensor === undefined ? source.name : `${source.name}, tensor ${quoted(tensor)}`
  throw new UserError(`${where}: ${what}`, "the file is damaged, incomplete or not safetensors: get or write it again")
}
