/** Whether files still hold what they held: by size, times and number on the disk, and where those differ, by their hash. */
import { createHash } from "node:crypto"
import { createReadStream } from "node:fs"
import { stat } from "node:fs/promises"
import { join } from "node:path"
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
  const { names, ...graph } = await read(folder, file)
  const beside = [...names].map((name) => read(folder, name).catch(() => null))
  const found = (await Promise.all(beside)).flatMap((one) => (one ? [{ ...one, names: undefined }] : []))
  return [graph, ...found].map(({ file, bytes, state, sha256 }) => ({ file, bytes, state, sha256 }))
}

async function read(folder: string, file: string): Promise<RecordedFile & { readonly names: ReadonlySet<string> }> {
  const { bytes, state, isSettled } = await stateOf(folder, file)
  const { sha256, names } = await scan(join(folder, file))
  return { file, bytes, state: isSettled ? state : null, sha256, names }
}

/** The same with its present state where only that has changed; null where the file holds something else, or is gone. */
export async function unchanged(folder: string, recorded: RecordedFile): Promise<RecordedFile | null> {
  const found = await stateOf(folder, recorded.file).catch(() => null)
  if (!found || found.bytes !== recorded.bytes) return null
  if (found.state === recorded.state) return recorded
  const { sha256 } = await scan(join(folder, recorded.file))
  return sha256 === recorded.sha256 ? { ...recorded, state: found.isSettled ? found.state : null } : null
}

/** A file that this process has just written, and nobody else writes to. */
export async function recordOwn(folder: string, file: string): Promise<RecordedFile> {
  const { bytes, state } = await stateOf(folder, file)
  return { file, bytes, state, sha256: (await scan(join(folder, file))).sha256 }
}

async function stateOf(folder: string, file: string) {
  const { size, mtimeNs, ctimeNs, ino } = await stat(join(folder, file), { bigint: true })
  const age = Date.now() - Math.max(Number(mtimeNs), Number(ctimeNs)) / 1e6
  return { bytes: Number(size), state: `${mtimeNs} ${ctimeNs} ${ino}`, isSettled: age > settledMilliseconds }
}

/** How ONNX writes the name of a file of weights: the pair "location", NAME, the name's length before it. */
const location = Buffer.from("\x0a\x08location\x12", "latin1")
const longestName = 127

/** The hash of a file, and the files of weights that it names if it is a graph. */
async function scan(path: string): Promise<{ readonly sha256: string; readonly names: ReadonlySet<string> }> {
  const hash = createHash("sha256")
  const names = new Set<string>()
  let left = Buffer.alloc(0)
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    hash.update(chunk)
    const seen = Buffer.concat([left, chunk])
    for (const name of namesIn(seen)) names.add(name)
    left = seen.subarray(-(location.length + 1 + longestName))
  }
  return { sha256: hash.digest("hex"), names }
}

function* namesIn(bytes: Buffer): Generator<string> {
  for (let at = bytes.indexOf(location); at !== -1; at = bytes.indexOf(location, at + 1)) {
    const start = at + location.length + 1
    const length = bytes[start - 1] ?? 0
    if (length > 0 && length <= longestName && start + length <= bytes.length)
      yield bytes.toString("utf8", start, start + length)
  }
}
