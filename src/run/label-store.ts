/**
 * A model's labels in this user's cache: known by what the files of its text tower hold, what computes, and what else vectors
 * depend on. The number of threads is not among that: it changed no bit in what was measured.
 */
import { type BigIntStats, statSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { z } from "zod"
import { messageOf, oneLine } from "../core/errors.ts"
import type { LabelStore, LabelTable } from "../core/text/label-store.ts"
import { processorIdentity } from "../host/processor-identity.ts"
import { version } from "../host/version.ts"
import { defaultCacheFolder, VectorCache } from "../vector-cache/vector-cache.ts"
import type { ClipDescription } from "./description.ts"
import { allUnchanged, placeOfModel, type RecordedFile, recordedFile, recordGraph } from "./graph-files.ts"
import type { LoadOptions } from "./load-options.ts"
import { runtimeName } from "./session.ts"

/** Bytes of the text tower times prompts: with less, encoding takes some 20 ms, which looking up takes too. */
const leastWork = 2 ** 27

/** That work in the time in which a byte of kept vectors is read: half a million labels take half a second to look up. */
const workOfByte = 4

interface LabelFolder {
  readonly directory: string
  /** The graph of the text tower, relative to the folder. */
  readonly text: string
  readonly description: Pick<ClipDescription, "text" | "contextLength" | "padding">
}

export class ModelLabelStore implements LabelStore {
  private readonly path: string
  /** As the tower was when the model was made, before it was read. */
  private readonly tower: TowerState
  private cache: VectorCache | null = null
  private isOff = false

  constructor(
    private readonly folder: LabelFolder,
    private readonly options: Pick<LoadOptions, "provider" | "onNote">,
  ) {
    this.path = join(folder.directory, ...folder.text.split("/"))
    this.tower = towerState(this.path)
  }

  async open(labels: number, templates: readonly string[], width: number): Promise<LabelTable | null> {
    const work = this.tower.bytes * labels * templates.length
    if (this.isOff || work < leastWork) return null
    try {
      const { onNote } = this.options
      this.cache ??= new VectorCache(defaultCacheFolder(), onNote ? { onNote } : {})
      const identity = await this.identity(this.cache)
      if (!this.isUnchanged()) return null
      const table = await this.cache.labelStore(identity, work / workOfByte).open(labels, templates, width)
      return table && this.whileUnchanged(table)
    } catch (error) {
      this.isOff = true
      this.options.onNote?.(`vectors of labels are not kept: ${oneLine(messageOf(error), 300)}`)
      return null
    }
  }

  /** Files that are replaced while a model is open are not those that it computes with. */
  private whileUnchanged(table: LabelTable): LabelTable {
    return {
      find: (labels, vectors) => table.find(labels, vectors),
      keep: async (labels, vectors) => {
        if (this.isUnchanged()) await table.keep(labels, vectors)
      },
      end: () => table.end(),
    }
  }

  private isUnchanged(): boolean {
    return towerState(this.path).state === this.tower.state
  }

  private async identity(cache: VectorCache): Promise<string[]> {
    const { text, contextLength, padding } = this.folder.description
    const files = await filesOf(cache, await placeOfModel(this.path))
    return [
      ...files.map(({ sha256 }) => sha256),
      ...[runtimeName(), this.options.provider ?? "cpu", processorIdentity(), version()],
      JSON.stringify({ text, contextLength, padding }),
    ]
  }
}

const recordedFiles = z.array(recordedFile).min(1)

/** The files of a graph with their hashes, which are kept as long as the files are as they were. */
async function filesOf(cache: VectorCache, path: string): Promise<RecordedFile[]> {
  const key = ["files of a graph 1", path]
  const known = recordedFiles.safeParse(await cache.records(key)).data
  const files =
    (known && (await allUnchanged(dirname(path), known))) ?? (await recordGraph(dirname(path), basename(path)))
  if (JSON.stringify(files) !== JSON.stringify(known)) await cache.storeRecords(key, files)
  return files
}

interface TowerState {
  readonly bytes: number
  /** What changes when a file is written or replaced. */
  readonly state: string
}

/** The state of a graph, and of the file beside it that its weights are in, where there is one. */
function towerState(path: string): TowerState {
  const found = [path, `${path}_data`].map(statOrNull)
  return {
    bytes: found.reduce((sum, file) => sum + Number(file?.size ?? 0), 0),
    state: found.map((file) => file && `${file.size} ${file.mtimeNs} ${file.ctimeNs} ${file.ino}`).join(", "),
  }
}

/** Whatever hinders it, the model's own reading tells of it. */
function statOrNull(path: string): BigIntStats | null {
  try {
    return statSync(path, { bigint: true })
  } catch {
    return null
  }
}
