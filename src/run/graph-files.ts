/** Whether files still hold what they held: by size, times and number on the disk, and where those differ, by their hash. */
import { createHash } from "node:crypto"
import { createReadStream } from "node:fs"
import { realpath, stat } from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import { z } from "zod"

export const recordedFile = z.object({
  /** Relative to a folder. */
  file: z.string(),
  bytes: z.number(),
  /** What changes whenever the file is written or replaced; null where it was too young to be told by it. */
  state: z.string().nullable(),
  sha256: z.string(),
})

export type RecordedFile = Readonly<z.infer<typeof recordedFile>>

/** Clocks of file systems are coarse: a file may be written twice within one tick. */
const settledMilliseconds = 2000

/** A graph and the files of weights that it names, which are in its folder or below. */
export async function recordGraph(folder: string, file: string): Promise<RecordedFile[]> {
  const names = new NamesOfWeights()
  const graph = await record(folder, file, (bytes) => names.search(bytes))
  const beside = await Promise.all([...names.found].map((name) => record(folder, name).catch(() => null)))
  return [graph, ...beside].filter((one) => one !== null)
}

/** A file that somebody else may write to. */
async function record(folder: string, file: string, onBytes?: (bytes: Buffer) => void): Promise<RecordedFile> {
  const { bytes, state, isSettled } = await stateOf(folder, file)
  return { file, bytes, state: isSettled ? state : null, sha256: await sha256(join(folder, file), onBytes) }
}

/** A file that this process has just written, and nobody else writes to. */
export async function recordOwn(folder: string, file: string): Promise<RecordedFile> {
  const { bytes, state } = await stateOf(folder, file)
  return { file, bytes, state, sha256: await sha256(join(folder, file)) }
}

/** The same with its present state where only that has changed; null where the file holds something else, or is gone. */
async function unchanged(folder: string, recorded: RecordedFile): Promise<RecordedFile | null> {
  const found = await stateOf(folder, recorded.file).catch(() => null)
  if (!found || found.bytes !== recorded.bytes) return null
  if (found.state === recorded.state) return recorded
  const isSame = (await sha256(join(folder, recorded.file))) === recorded.sha256
  return isSame ? { ...recorded, state: found.isSettled ? found.state : null } : null
}

/** The records as they are now; null where a file has changed. */
export async function allUnchanged(folder: string, records: readonly RecordedFile[]): Promise<RecordedFile[] | null> {
  const now = await Promise.all(records.map((record) => unchanged(folder, record)))
  return now.every((record) => record !== null) ? now : null
}

/**
 * The same path for all ways to a file's folder. Where the file itself is a link it is not followed: weights are read from
 * beside the link, and in caches that keep files by their content, links to one graph have different weights beside them.
 */
export async function placeOfModel(path: string): Promise<string> {
  return join(await realpath(dirname(path)), basename(path))
}

async function stateOf(folder: string, file: string) {
  const { size, mtimeNs, ctimeNs, ino } = await stat(join(folder, file), { bigint: true })
  const age = Date.now() - Math.max(Number(mtimeNs), Number(ctimeNs)) / 1e6
  return { bytes: Number(size), state: `${mtimeNs} ${ctimeNs} ${ino}`, isSettled: age > settledMilliseconds }
}

async function sha256(path: string, onBytes?: (bytes: Buffer) => void): Promise<string> {
  const hash = createHash("sha256")
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    hash.update(chunk)
    onBytes?.(chunk)
  }
  return hash.digest("hex")
}

/** How ONNX writes the name of a file of weights: the pair "location", NAME, the name's length before it. */
const location = Buffer.from("\x0a\x08location\x12", "latin1")
/** Longer paths cannot be opened. */
const longestName = 4096
const longestPair = location.length + 2 + longestName

/** Finds the names of files of weights in the bytes of a graph, which come in pieces. */
class NamesOfWeights {
  readonly found = new Set<string>()
  private end = Buffer.alloc(0)

  search(bytes: Buffer): void {
    // A pair may begin in one piece and end in the next one.
    this.searchIn(Buffer.concat([this.end, bytes.subarray(0, longestPair)]))
    this.searchIn(bytes)
    this.end = Buffer.from(bytes.subarray(-longestPair))
  }

  private searchIn(bytes: Buffer): void {
    for (let at = bytes.indexOf(location); at !== -1; at = bytes.indexOf(location, at + 1)) {
      const { start, length } = lengthAt(bytes, at + location.length)
      if (length <= longestName && start + length <= bytes.length)
        this.found.add(bytes.toString("utf8", start, start + length))
    }
  }
}

/** A length in one byte, or with its lower seven bits in the first of two, and where that ends. */
function lengthAt(bytes: Buffer, at: number) {
  const [first = 0, second = 0] = bytes.subarray(at, at + 2)
  return first < 128 ? { start: at + 1, length: first } : { start: at + 2, length: (first & 127) + (second << 7) }
}
