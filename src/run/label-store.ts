/**
 * A model's labels in this user's cache: known by what the files of its text tower hold, what computes, and what else vectors
 * depend on. The number of threads is not among that: it changed no bit in what was measured.
 */
import { stat } from "node:fs/promises"
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

interface LabelFolder {
  readonly directory: string
  /** The graph of the text tower, relative to the folder. */
  readonly text: string
  readonly description: Pick<ClipDescription, "text" | "contextLength" | "padding">
}

export class ModelLabelStore implements LabelStore {
  private cache: VectorCache | null = null
  private isOff = false

  constructor(
    private readonly folder: LabelFolder,
    private readonly options: Pick<LoadOptions, "provider" | "onNote">,
  ) {}

  async open(labels: number, templates: readonly string[], width: number): Promise<LabelTable | null> {
    const path = join(this.folder.directory, ...this.folder.text.split("/"))
    if (this.isOff || (await towerBytes(path)) * labels * templates.length < leastWork) return null
    try {
      const { onNote } = this.options
      this.cache ??= new VectorCache(defaultCacheFolder(), onNote ? { onNote } : {})
      return await this.cache.labelStore(await this.identity(this.cache, path)).open(labels, templates, width)
    } catch (error) {
      this.isOff = true
      this.options.onNote?.(`vectors of labels are not kept: ${oneLine(messageOf(error), 300)}`)
      return null
    }
  }

  private async identity(cache: VectorCache, path: string): Promise<string[]> {
    const { text, contextLength, padding } = this.folder.description
    const files = await filesOf(cache, await placeOfModel(path))
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

/** Of a graph, and of the file that its weights are in where they are in one beside it. */
async function towerBytes(path: string): Promise<number> {
  const found = await Promise.all([path, `${path}_data`].map((file) => stat(file).catch(() => null)))
  return found.reduce((sum, file) => sum + (file?.size ?? 0), 0)
}
