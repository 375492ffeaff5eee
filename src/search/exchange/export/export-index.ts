/** An index's pictures and vectors to files of other programs (`write-export.ts`). What is written is one state of the index. */
import { join } from "node:path"
import { requireCount, requireOneOf } from "../../../core/arguments.ts"
import { float16ToFloat32 } from "../../../core/arrays/half.ts"
import { noProgress, type Progress, type StartProgress } from "../../../core/progress.ts"
import { openRandomAccess } from "../../../host/files/files.ts"
import { IndexStore } from "../../store/index-store.ts"
import { vectorOffset } from "../../store/vector-file.ts"
import { type ExportedPicture, type StoredType, storedTypes } from "./pair-writer.ts"
import { type ExportFormat, exportFormats, writeExport } from "./write-export.ts"

export interface ExportOptions {
  /** A folder for clip-retrieval, a file otherwise. */
  readonly to: string
  readonly format?: ExportFormat
  /** Type of the values in `.npy` files; the index has float16. */
  readonly store?: StoredType
  /** Pictures of a part of clip-retrieval's folder. */
  readonly partSize?: number
  readonly signal?: AbortSignal
  readonly startProgress?: StartProgress
}

export const exportDefaults = {
  format: "clip-retrieval",
  store: "float16",
  partSize: 100_000,
} as const satisfies Partial<ExportOptions>

export interface ExportResult {
  readonly model: string
  readonly dim: number
  /** A row for each file: several files of equal bytes have the same vector. */
  readonly rows: number
}

/** Throws UserError where there is no index, or the output cannot be written; the signal's reason, after which nothing is left. */
export async function exportIndex(folder: string, options: ExportOptions): Promise<ExportResult> {
  requireOneOf("format", options.format, exportFormats)
  requireOneOf("store", options.store, storedTypes)
  requireCount("partSize", options.partSize)
  using store = IndexStore.open(folder)
  // A reading transaction: what is added or forgotten meanwhile is not seen.
  store.db.exec("BEGIN")
  try {
    return await exportFrom(store, options)
  } finally {
    // A database that is closed within one may stay open, and writers would wait for it.
    store.db.exec("ROLLBACK")
  }
}

async function exportFrom(store: IndexStore, options: ExportOptions): Promise<ExportResult> {
  const { startProgress = noProgress, signal, ...given } = options
  const generation = store.active()
  const total = Number(store.row("SELECT count(*) AS n FROM files")!.n)
  const progress = startProgress("exporting", total, { unit: "pictures" })
  const { model: name, identity, dim, settings } = generation
  // Preprocessing is a part of the identity.
  const model = { name, identity, orientation: settings.orientation }
  const pictures = picturesOf(store, generation, progress, signal)
  const rows = await writeExport({ ...exportDefaults, ...given, dim, model, pictures })
  progress.done()
  return { model: name, dim, rows }
}

/** Rows of files that are read at a time. */
const rowsAtOnce = 4096

const page = `
  SELECT files.id AS id, content, roots.path AS root, files.path AS path, caption FROM files
  JOIN roots ON roots.id = root JOIN contents ON contents.id = content
  WHERE (content, files.id) > (?, ?) ORDER BY content, files.id LIMIT ${rowsAtOnce}`

/** In the order of the vectors, so that their file is read from its beginning to its end. */
async function* picturesOf(
  store: IndexStore,
  generation: { readonly id: number; readonly dim: number },
  progress: Progress,
  signal: AbortSignal | undefined,
): AsyncGenerator<ExportedPicture[]> {
  // The file is made with the first picture.
  if (store.count === 0) return
  using file = openRandomAccess(store.vectorsPath(generation))
  const vectorOf = (content: number) => {
    const bytes = file.read(vectorOffset + (content - 1) * generation.dim * 2, generation.dim * 2)
    return float16ToFloat32(new Uint16Array(bytes.slice().buffer))
  }
  let [last, done] = [[0, 0], 0]
  for (;;) {
    signal?.throwIfAborted()
    const rows = store.rows(page, last[0]!, last[1]!)
    if (rows.length === 0) return
    last = [Number(rows.at(-1)!.content), Number(rows.at(-1)!.id)]
    done += rows.length
    const pictures = rows.map(({ content, root, path, caption }) => ({
      ...{ path: join(`${root}`, `${path}`), caption: caption === null ? null : `${caption}` },
      vector: vectorOf(Number(content)),
    }))
    // A row of NaN has no vector.
    yield pictures.filter(({ vector }) => !Number.isNaN(vector[0]!))
    progress.update(done)
  }
}
