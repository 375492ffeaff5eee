/**
 * A part of a folder of vectors: the rows of some inputs. In clip-retrieval's layout (rom1504/clip-retrieval, `clip_inference`)
 * a matrix in `img_emb/` or `text_emb/` and a table in `metadata/`, row for row; as JSONL one file with both.
 */
import { rm } from "node:fs/promises"
import { join } from "node:path"
import { parquetWriteBuffer } from "hyparquet-writer"
import { concatenate } from "../core/arrays/concatenate.ts"
import { float32ToFloat16 } from "../core/arrays/half.ts"
import { assert } from "../core/errors.ts"
import { npyHeader } from "../host/containers/npz.ts"
import { makeDirectory, writeAtomically } from "../host/files/files.ts"
import type { RowFacts } from "./inputs.ts"
import { PartFile } from "./part-file.ts"
import type { EmbedSettings } from "./settings.ts"

export interface Row {
  readonly facts: RowFacts
  /** A unit vector [embedDim] */
  readonly vector: Float32Array
}

/** Names of the files of a part. */
interface PartPaths {
  /** `img_emb/img_emb_0.npy` */
  readonly vectors: string
  /** `metadata/metadata_0.parquet`; null where the vectors' file has all. */
  readonly metadata: string | null
}

export function partPaths(folder: string, name: string, { inputs, output }: EmbedSettings): PartPaths {
  const kind = inputs.kind === "texts" ? "text_emb" : "img_emb"
  const vectors = join(folder, kind, `${kind}_${name}.${output === "jsonl" ? "jsonl" : "npy"}`)
  return { vectors, metadata: output === "jsonl" ? null : join(folder, "metadata", `metadata_${name}.parquet`) }
}

export class PartWriter {
  private rows = 0
  private readonly facts: RowFacts[] = []

  private constructor(
    private readonly paths: PartPaths,
    private readonly settings: EmbedSettings,
    private readonly file: PartFile,
  ) {}

  static async begin(paths: PartPaths, settings: EmbedSettings): Promise<PartWriter> {
    for (const path of [paths.vectors, paths.metadata]) if (path) await makeDirectory(join(path, ".."))
    const writer = new PartWriter(paths, settings, await PartFile.create(paths.vectors))
    if (paths.metadata !== null) await writer.file.append(writer.header())
    return writer
  }

  async add(rows: readonly Row[]): Promise<void> {
    this.rows += rows.length
    if (this.paths.metadata === null) return this.file.append(Buffer.from(rows.map(lineOf).join("")))
    this.facts.push(...rows.map(({ facts }) => facts))
    await this.file.append(this.valuesOf(rows))
  }

  /** The number of rows. A part without any has no files, which readers could not map into memory. */
  async commit(): Promise<number> {
    const { vectors, metadata } = this.paths
    if (this.rows === 0) {
      await this.abandon()
      for (const path of [vectors, metadata]) if (path) await rm(path, { force: true })
    } else if (metadata === null) await this.file.commit()
    else {
      await this.file.commit(this.header())
      await writeAtomically(metadata, [parquetOf(this.facts)])
    }
    return this.rows
  }

  abandon(): Promise<void> {
    return this.file.abandon()
  }

  /** As long for any number of rows of a part: the padding takes the digits. */
  private header(): Uint8Array {
    const { store, embedDim } = this.settings
    const head = npyHeader([this.rows, embedDim], store === "float16" ? "<f2" : "<f4")
    assert(head.length === 128, `the header of a part takes ${head.length} bytes`)
    return head
  }

  private valuesOf(rows: readonly Row[]): Uint8Array {
    const values = concatenate(rows.map(({ vector }) => vector))
    const stored = this.settings.store === "float16" ? float32ToFloat16(values) : values
    return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength)
  }
}

/** Nine digits are enough for every float32 to come back as it was. */
const digits = 9

function lineOf({ facts, vector }: Row): string {
  return `${JSON.stringify({ ...facts, embedding: Array.from(vector, (value) => +value.toPrecision(digits)) })}\n`
}

function parquetOf(facts: readonly RowFacts[]): Uint8Array {
  const names = (["image_path", "caption", "url"] as const).filter((name) => facts[0]![name] !== undefined)
  const columnData = names.map((name) => {
    return { name, type: "STRING", nullable: true, data: facts.map((row) => row[name] ?? null) } as const
  })
  return new Uint8Array(parquetWriteBuffer({ columnData, createdBy: "mobileclip" }))
}
