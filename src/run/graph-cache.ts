/**
 * ONNX Runtime's optimised graphs in the user's cache: a graph that is optimised for this processor, and its weights in a file
 * beside it that is mapped into memory, not read. One folder for each graph of a model, each runtime and each processor:
 *
 *     entry.json       what it was made of, and the files below
 *     graph.onnx       the graph
 *     graph.onnx_data  its weights, as large as the model's
 *
 * The cache is never needed: what is missing, changed or damaged is made again, and where it cannot be written it is not used.
 */
import { createHash } from "node:crypto"
import { constants } from "node:fs"
import { access, readdir, readFile, stat, statfs, utimes } from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import { z } from "zod"
import { messageOf, oneLine } from "../core/errors.ts"
import { jsonOrNull } from "../core/json.ts"
import { discard, makeDirectory, writeAtomically } from "../host/files/files.ts"
import { writeDirectoryAtomically } from "../host/files/folder.ts"
import { isAbandoned, isStagingName } from "../host/files/staging.ts"
import { processorIdentity } from "../host/processor-identity.ts"
import { ownCacheDir } from "../native/own-cache.ts"
import { allUnchanged, placeOfModel, type RecordedFile, recordedFile, recordGraph, recordOwn } from "./graph-files.ts"

const graphCacheDefaults = {
  /** When all have more, those that were not used for longest are removed. */
  mostBytes: 8 * 2 ** 30,
  /** Smaller graphs are optimised as fast as an optimised one is found. */
  smallestBytes: 16 * 2 ** 20,
}

type GraphCacheOptions = Partial<typeof graphCacheDefaults>

/** `graphs` in this program's cache folder. */
function defaultGraphFolder(): string {
  return join(ownCacheDir(process.env), "graphs")
}

const entrySchema = z.object({ source: z.array(recordedFile).min(1), kept: z.array(recordedFile).length(2) })

type Entry = z.infer<typeof entrySchema>

const entryFile = "entry.json"
export const graphFile = "graph.onnx"
export const weightsFile = `${graphFile}_data`

export class GraphCache {
  private readonly options: typeof graphCacheDefaults

  /** @param runtime name and version of what makes the graphs */
  constructor(
    private readonly runtime: string,
    private readonly folder = defaultGraphFolder(),
    options: GraphCacheOptions = {},
  ) {
    this.options = { ...graphCacheDefaults, ...options }
  }

  /** The path of the optimised graph of the model's file; null where there is none that was made of what the file holds now. */
  async find(path: string): Promise<string | null> {
    const model = await placeOfModel(path)
    const place = this.place(model)
    const entry = await readEntry(place)
    if (!entry) return null
    const source = await allUnchanged(dirname(model), entry.source)
    const kept = source && (await allUnchanged(place, entry.kept))
    if (!kept) return null
    await this.used(place, entry, { source, kept })
    return join(place, graphFile)
  }

  /**
   * Keeps what `make` writes into the folder that it is given: `graph.onnx` and `graph.onnx_data`.
   *
   * @returns what `make` gave, and why it was not kept; `make` may have failed because the folder cannot be written
   */
  async keep<T>(path: string, make: (folder: string) => Promise<T>): Promise<Kept<T>> {
    let made: { readonly value: T } | null = null
    try {
      const model = await placeOfModel(path)
      const source = await this.recordLarge(model)
      const fill = async (folder: string) => {
        made = { value: await make(folder) }
        await writeEntry(folder, model, source)
      }
      const place = this.place(model)
      await this.requireAlone(basename(place))
      await writeDirectoryAtomically(place, fill, async () => [entryFile, graphFile, weightsFile])
      await this.trim()
      return { made, reason: null }
    } catch (error) {
      return { made, reason: oneLine(messageOf(error), 300) }
    }
  }

  /** What the model's files hold. Throws where keeping them does not pay, or there is no room. */
  private async recordLarge(path: string): Promise<RecordedFile[]> {
    const { smallestBytes } = this.options
    const { size } = await stat(path)
    // A large file is not read in vain; the weights of a small one may be in others.
    if (size >= smallestBytes) await this.requireSpace(size)
    const source = await recordGraph(dirname(path), basename(path))
    const bytes = bytesOf(source)
    if (bytes < smallestBytes) throw new Error("it is small")
    await this.requireSpace(bytes)
    return source
  }

  private async requireSpace(bytes: number): Promise<void> {
    if (bytes > this.options.mostBytes / 2) throw new Error("it is larger than half of the cache")
    await makeDirectory(this.folder)
    await access(this.folder, constants.W_OK)
    const { bavail, bsize } = await statfs(this.folder)
    if (bavail * bsize < 2 * bytes) throw new Error(`the disk of ${this.folder} is nearly full`)
  }

  /** Several threads and processes often start at once, and one copy is enough. */
  private async requireAlone(name: string): Promise<void> {
    const staged = (await readdir(this.folder)).filter((one) => isStagingName(one) && one.startsWith(`.${name}.`))
    const isLeft = await Promise.all(staged.map((one) => isAbandoned(join(this.folder, one))))
    if (isLeft.includes(false)) throw new Error("another process or thread is keeping it")
  }

  /** One folder for each file of a model: a new version takes the place of the old one. */
  private place(model: string): string {
    const key = [this.runtime, processorIdentity(), model]
    return join(this.folder, createHash("sha256").update(JSON.stringify(key)).digest("hex").slice(0, 32))
  }

  /** Its time says when it was used last. */
  private async used(place: string, before: Entry, now: Entry): Promise<void> {
    const [path, time] = [join(place, entryFile), new Date()]
    const [was, is] = [before, now].map((entry) => JSON.stringify(entry))
    // A cache that cannot be written is used all the same.
    await (was === is ? utimes(path, time, time) : writeAtomically(path, [is!])).catch(() => {})
  }

  private async trim(): Promise<void> {
    let bytes = 0
    for (const entry of await this.newestFirst()) {
      bytes += entry.bytes
      if (bytes > this.options.mostBytes) await discard(entry.place)
    }
  }

  /** Without those that are damaged, which are removed, as another process may be doing. */
  private async newestFirst() {
    const names = (await readdir(this.folder)).filter((name) => !isStagingName(name) && own.test(name))
    const entries = names.map(async (name) => {
      const place = join(this.folder, name)
      const [entry, time] = [await readEntry(place), await stat(join(place, entryFile)).catch(() => null)]
      if (entry && time) return [{ place, bytes: bytesOf(entry.kept), used: time.mtimeMs }]
      await discard(place)
      return []
    })
    return (await Promise.all(entries)).flat().sort((a, b) => b.used - a.used)
  }
}

interface Kept<T> {
  readonly made: { readonly value: T } | null
  /** Why it was not kept; null where it was. */
  readonly reason: string | null
}

const own = /^[0-9a-f]{32}$/

async function writeEntry(folder: string, model: string, source: readonly RecordedFile[]): Promise<void> {
  const kept = await Promise.all([graphFile, weightsFile].map((file) => recordOwn(folder, file)))
  if (!(await allUnchanged(dirname(model), source))) throw new Error("the model changed meanwhile")
  await writeAtomically(join(folder, entryFile), [JSON.stringify({ source, kept })])
}

async function readEntry(place: string): Promise<Entry | null> {
  const text = await readFile(join(place, entryFile), "utf8").catch(() => null)
  return (text !== null && entrySchema.safeParse(jsonOrNull(text)).data) || null
}

function bytesOf(files: readonly RecordedFile[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0)
}
