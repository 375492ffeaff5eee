/**
 * Where the samples of a local shard are, for reads in any order. A tar takes one pass and about 20 bytes per member; a JSONL
 * file is searched for lines, and unpacked into another file, in UTF-8, first where it is compressed.
 */
import { createReadStream, createWriteStream } from "node:fs"
import { pipeline } from "node:stream/promises"
import { isInputError, UserError } from "../../../core/errors.ts"
import { utf8Chunks, withNewlines } from "../../../core/text/decode-text.ts"
import { fileError } from "../../../host/files/file-error.ts"
import { openRandomAccess } from "../../../host/files/files.ts"
import { type Compression, unpacked } from "../../reinforced/jsonl/lines.ts"
import { shardFormat } from "../../reinforced/read.ts"
import type { Problem } from "../../reinforced/sample.ts"
import { largestSample } from "../../reinforced/sample-budget.ts"
import { listTar } from "../../reinforced/tar/read-tar.ts"
import type { TarMember } from "../../reinforced/tar/tar-index.ts"
import type { SampleList, SampleLocation } from "./location.ts"

export interface IndexOptions {
  /** Which members are needed, by extension. */
  readonly wants: (extension: string) => boolean
  /** A name for a file that is removed with the others. */
  readonly temporaryPath: () => Promise<string>
  /** Is told of samples that a shard does not give. */
  readonly report: (url: string, problem: Problem) => void
}

/** The file that the samples are in, where it is not the shard itself. */
export interface ShardIndex extends SampleList {
  readonly unpacked?: string
}

/**
 * Throws UserError on a file that cannot be read, is not a shard or has no samples.
 *
 * @param url the address of which the file is a copy, for messages
 */
export async function indexShard(path: string, url: string, options: IndexOptions): Promise<ShardIndex> {
  const file = openRandomAccess(path)
  try {
    const format = shardFormat(file)
    if (format !== "tar") return await indexLines(path, format, options)
    const samples = await listTar(file, (problem) => options.report(url, problem))
    return new TarIndex(path, samples, options.wants)
  } finally {
    file.close()
  }
}

class TarIndex implements SampleList {
  private readonly keys: readonly string[]
  private readonly extensions: readonly string[]
  /** The members of sample i are from starts[i] to starts[i + 1] in the arrays below. */
  private readonly starts: Uint32Array
  private readonly names: Uint16Array
  private readonly offsets: Float64Array
  private readonly sizes: Uint32Array

  constructor(
    private readonly path: string,
    samples: ReadonlyMap<string, readonly TarMember[]>,
    wants: (extension: string) => boolean,
  ) {
    const lists = [...samples.values()].map((members) => members.filter(({ extension }) => wants(extension)))
    const all = lists.flat()
    this.keys = [...samples.keys()]
    this.extensions = [...new Set(all.map(({ extension }) => extension))]
    const numbers = new Map(this.extensions.map((extension, i) => [extension, i]))
    this.names = Uint16Array.from(all, ({ extension }) => numbers.get(extension)!)
    this.offsets = Float64Array.from(all, ({ offset }) => offset)
    this.sizes = Uint32Array.from(all, ({ size }) => Math.min(size, largestSample + 1))
    this.starts = new Uint32Array(lists.length + 1)
    for (const [i, list] of lists.entries()) this.starts[i + 1] = this.starts[i]! + list.length
  }

  get count(): number {
    return this.keys.length
  }

  location(index: number): SampleLocation {
    const [start, end] = [this.starts[index]!, this.starts[index + 1]!]
    const members = Array.from({ length: end - start }, (_, i) => {
      const at = start + i
      return { extension: this.extensions[this.names[at]!]!, offset: this.offsets[at]!, size: this.sizes[at]! }
    })
    return { kind: "tar", path: this.path, key: this.keys[index]!, members }
  }
}

async function indexLines(path: string, compression: Compression, options: IndexOptions): Promise<ShardIndex> {
  if (compression === "none") return indexPlain(path, path)
  const unpacked = await options.temporaryPath()
  await unpack(path, compression, unpacked)
  return Object.assign(await indexPlain(path, unpacked), { unpacked })
}

async function indexPlain(path: string, plain: string): Promise<LineIndex> {
  const index = new LineIndex(plain, await findLines(plain, path))
  if (index.count > 0) return index
  throw new UserError(`${path} holds no samples`, "JSON objects were expected, one a line")
}

async function unpack(path: string, compression: Compression, to: string): Promise<void> {
  try {
    await pipeline(utf8Chunks(unpacked(path, compression), "its text"), createWriteStream(to))
  } catch (error) {
    const hint = "get or write the shard again"
    if (isInputError(error)) throw new UserError(`${path}: ${error.message}`, error.hint ?? hint)
    throw fileError(error, "writing", to)
  }
}

class LineIndex implements SampleList {
  constructor(
    private readonly path: string,
    /** Offset and length of each. */
    private readonly lines: Float64Array,
  ) {}

  get count(): number {
    return this.lines.length / 2
  }

  location(index: number): SampleLocation {
    return { kind: "line", path: this.path, offset: this.lines[2 * index]!, length: this.lines[2 * index + 1]! }
  }
}

const [newline, space] = [0x0a, 0x20]

/** Shorter lines cannot hold a sample. The locations of many of them would take much more memory than the lines. */
const shortestSample = '{"id":1}'.length
const mostShort = 10_000

/** Offset and length of every line that has something in it. Throws UserError where most are too short. */
async function findLines(path: string, name: string): Promise<Float64Array> {
  const found: number[] = []
  let [start, offset, isBlank, short] = [0, 0, true, 0]
  const end = (at: number) => {
    if (!isBlank) found.push(start, at - start)
    if (!isBlank && at - start < shortestSample && ++short > Math.max(mostShort, found.length / 4)) {
      throw new UserError(`${name}: half of its first ${found.length / 2} lines are too short for a sample`)
    }
    ;[start, isBlank] = [at + 1, true]
  }
  const file = createReadStream(path, { highWaterMark: 1 << 20 }) as AsyncIterable<Uint8Array>
  for await (const chunk of withNewlines(file)) {
    for (let i = 0; i < chunk.length; ) {
      if (isBlank && chunk[i]! <= space && chunk[i] !== newline) i++
      else {
        const next = chunk.indexOf(newline, i)
        isBlank &&= next === i
        if (next < 0) break
        end(offset + next)
        i = next + 1
      }
    }
    offset += chunk.length
  }
  end(offset)
  return Float64Array.from(found)
}
