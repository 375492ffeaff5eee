/** A line of JSON for each picture: `{"path", "vector" or "embedding", "caption"}`, plain or compressed with gzip or zstd. */
import { UserError } from "../../../core/errors.ts"
import { isObject, jsonOrNull } from "../../../core/json.ts"
import { type Compression, type Line, readLines } from "../../../data/reinforced/jsonl/lines.ts"
import { openRandomAccess } from "../../../host/files/files.ts"
import type { ImportedPicture, ImportSource } from "./source.ts"

const pathNames = ["path", "image_path", "file", "filename", "url", "key"] as const
const vectorNames = ["vector", "embedding"] as const

/** Throws UserError where the first line is not a picture's. */
export function openJsonl(path: string): Promise<ImportSource> {
  return jsonlPictures(path, [path])
}

/** @param name of all of them, for messages */
export async function jsonlPictures(name: string, files: readonly string[]): Promise<ImportSource> {
  const pictures = async function* () {
    const seen = new Widths()
    for (const file of files) yield* picturesIn(file, seen)
  }
  let dim: number | null = null
  for await (const { vector } of pictures()) {
    dim = vector?.length ?? null
    if (dim !== null) break
  }
  return { kind: "jsonl", name, dim, model: null, total: null, pictures, [Symbol.asyncDispose]: async () => {} }
}

async function* picturesIn(path: string, widths: Widths): AsyncGenerator<ImportedPicture> {
  for await (const line of readLines(path, compressionOf(path))) {
    const where = `${path}, line ${line.number}`
    const picture = pictureOf(line, where)
    if (picture.vector !== null) widths.require(picture.vector.length, where)
    yield picture
  }
}

/** All vectors have as many values. */
class Widths {
  private first: number | null = null

  require(width: number, where: string): void {
    this.first ??= width
    if (width !== this.first) throw new UserError(`${where}: a vector of ${width} values, and ${this.first} before it`)
  }
}

export function compressionOf(path: string): Compression {
  const file = openRandomAccess(path)
  const head = Buffer.from(file.read(0, Math.min(4, file.size)))
  file.close()
  if (head.length === 4 && head.readUInt32LE() === 0xfd2fb528) return "zstd"
  return head[0] === 0x1f && head[1] === 0x8b ? "gzip" : "none"
}

function pictureOf(line: Line, where: string): ImportedPicture {
  if (line.text === null) throw new UserError(`${where}: ${line.problem}`, hint)
  const value = jsonOrNull(line.text)
  if (!isObject(value)) throw new UserError(`${where} is not a JSON object`, hint)
  const path = pathNames.map((name) => value[name]).find((found) => typeof found === "string" && found !== "")
  if (typeof path !== "string") throw new UserError(`${where} names no picture`, hint)
  const given = vectorNames.map((name) => value[name]).find((found) => found !== undefined && found !== null)
  const { caption = null } = value
  if (caption !== null && typeof caption !== "string") throw new UserError(`${where}: the caption is not a text`, hint)
  return { path, vector: given === undefined ? null : vectorOf(given, where), caption }
}

const hint =
  '{"path": "cat.jpg", "vector": [0.1, 0.2], "caption": "a cat"} was expected; vector may be base64 of float32'

function vectorOf(given: unknown, where: string): Float32Array {
  if (typeof given === "string") {
    const bytes = Buffer.from(given, "base64")
    if (bytes.length > 0 && bytes.length % 4 === 0 && /^[\w+/-]+=*$/.test(given)) return floatsOf(bytes)
    throw new UserError(`${where}: the vector is not base64 of float32 values`, hint)
  }
  if (Array.isArray(given) && given.length > 0 && given.every((value) => typeof value === "number"))
    return Float32Array.from(given)
  throw new UserError(`${where}: the vector is not a list of numbers`, hint)
}

function floatsOf(bytes: Buffer): Float32Array {
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer)
}
