/**
 * Pictures and their vectors in forms that other programs read: clip-retrieval's folder (rom1504/clip-retrieval), a `.npy` file
 * with a `.parquet` file, or a line of JSON for each. What is written is complete or absent.
 */
import { existsSync } from "node:fs"
import { mkdir, readdir } from "node:fs/promises"
import { join } from "node:path"
import { z } from "zod"
import { UserError } from "../../../core/errors.ts"
import { jsonOrNull } from "../../../core/json.ts"
import { prepareFile, readBytes, writeAtomically } from "../../../host/files/files.ts"
import { writeDirectoryAtomically } from "../../../host/files/folder.ts"
import { type ExportedPicture, PairWriter, type StoredType } from "./pair-writer.ts"

export const exportFormats = ["clip-retrieval", "npy", "jsonl"] as const
export type ExportFormat = (typeof exportFormats)[number]

export const exportFile = "export.json"
const exportRecord = "mobileclip-index-export-1"

/** What made the vectors: `export.json` in a folder says it, and an import takes vectors of the same model alone. */
export interface ExportedModel {
  readonly name: string
  readonly identity: string
  readonly orientation: "apply" | "ignore"
}

export interface ExportRequest {
  readonly to: string
  readonly format: ExportFormat
  /** Type of the values in `.npy` files. */
  readonly store: StoredType
  /** Pictures of a part of clip-retrieval's folder. */
  readonly partSize: number
  readonly dim: number
  readonly model: ExportedModel
  /** In their order, some at a time. */
  readonly pictures: AsyncIterable<readonly ExportedPicture[]>
}

/** The number of pictures. Throws UserError where it cannot be written, or where another program's files would be replaced. */
export function writeExport(request: ExportRequest): Promise<number> {
  return { "clip-retrieval": writeFolder, npy: writePair, jsonl: writeLines }[request.format](request)
}

async function writeLines({ to, pictures }: ExportRequest): Promise<number> {
  await prepareFile(to)
  let rows = 0
  const lines = async function* () {
    for await (const batch of pictures) {
      rows += batch.length
      yield batch.map(lineOf).join("")
    }
  }
  await writeAtomically(to, lines())
  return rows
}

/** Nine digits are enough for every float32 to come back as it was. */
const digits = 9

function lineOf({ path, caption, vector }: ExportedPicture): string {
  return `${JSON.stringify({ path, caption, vector: Array.from(vector, (value) => +value.toPrecision(digits)) })}\n`
}

async function writePair({ to, pictures, ...settings }: ExportRequest): Promise<number> {
  if (!to.endsWith(".npy"))
    throw new UserError(`${to} does not end with .npy`, "name the matrix: the table is written beside it, as .parquet")
  const table = to.replace(/npy$/, "parquet")
  for (const path of [to, table]) await prepareFile(path)
  const writer = await PairWriter.begin({ vectors: to, table }, settings)
  try {
    for await (const batch of pictures) await writer.add(batch)
    return await writer.commit()
  } catch (error) {
    await writer.abandon()
    throw error
  }
}

function writeFolder(request: ExportRequest): Promise<number> {
  return writeDirectoryAtomically(request.to, (folder) => fillFolder(folder, request), ownFiles)
}

async function fillFolder(folder: string, request: ExportRequest): Promise<number> {
  const { pictures, partSize, model, dim, store } = request
  for (const name of ["img_emb", "metadata"]) await mkdir(join(folder, name))
  const parts = new Parts(folder, request)
  try {
    for await (const batch of pictures) {
      for (let from = 0; from < batch.length; ) {
        const count = Math.min(batch.length - from, partSize - parts.inPart)
        await parts.add(batch.slice(from, from + count))
        from += count
      }
    }
    await parts.end()
  } catch (error) {
    await parts.abandon()
    throw error
  }
  const record = { format: exportRecord, ...model, embedDim: dim, normalised: true, store, rows: parts.rows }
  await writeAtomically(join(folder, exportFile), [`${JSON.stringify(record, null, 2)}\n`])
  return parts.rows
}

/** `img_emb/img_emb_0000.npy` with `metadata/metadata_0000.parquet`, one pair at a time: readers take files in the order of names. */
class Parts {
  rows = 0
  inPart = 0
  private count = 0
  private writer: PairWriter | null = null

  constructor(
    private readonly folder: string,
    private readonly request: ExportRequest,
  ) {}

  async add(pictures: readonly ExportedPicture[]): Promise<void> {
    this.writer ??= await PairWriter.begin(this.nextPaths(), this.request)
    await this.writer.add(pictures)
    this.rows += pictures.length
    this.inPart += pictures.length
    if (this.inPart === this.request.partSize) await this.end()
  }

  async end(): Promise<void> {
    await this.writer?.commit()
    this.writer = null
    this.inPart = 0
  }

  async abandon(): Promise<void> {
    await this.writer?.abandon()
  }

  private nextPaths() {
    const name = String(this.count++).padStart(4, "0")
    const vectors = join(this.folder, "img_emb", `img_emb_${name}.npy`)
    return { vectors, table: join(this.folder, "metadata", `metadata_${name}.parquet`) }
  }
}

/** What an earlier export wrote, which a new one replaces. */
async function ownFiles(folder: string): Promise<string[]> {
  if ((await exportedModelIn(folder)) === null) return []
  const patterns = { img_emb: /^img_emb_\d+\.npy$/, metadata: /^metadata_\d+\.parquet$/ }
  const parts = Object.entries(patterns).map(async ([name, pattern]) => {
    const names = await readdir(join(folder, name)).catch(() => [])
    return names.filter((file) => pattern.test(file)).map((file) => `${name}/${file}`)
  })
  return [exportFile, ...(await Promise.all(parts)).flat()]
}

const recorded = z.object({
  format: z.literal(exportRecord),
  name: z.string(),
  identity: z.string(),
  orientation: z.enum(["apply", "ignore"]),
})

/** Null where the folder is not an export of an index. */
export async function exportedModelIn(folder: string) {
  const place = join(folder, exportFile)
  if (!existsSync(place)) return null
  const found = recorded.safeParse(jsonOrNull(Buffer.from(await readBytes(place)).toString()))
  return found.success ? found.data : null
}
