/** A `.npy` matrix of vectors and the parquet table of what they are of, row for row, written as rows come. */
import { ByteWriter, ParquetWriter } from "hyparquet-writer"
import { concatenate } from "../../../core/arrays/concatenate.ts"
import { float32ToFloat16 } from "../../../core/arrays/half.ts"
import { assert } from "../../../core/errors.ts"
import { PartFile } from "../../../embed/part-file.ts"
import { npyHeader } from "../../../host/containers/npz.ts"

export interface ExportedPicture {
  readonly path: string
  /** [dim], of unit length */
  readonly vector: Float32Array
  readonly caption: string | null
}

export const storedTypes = ["float16", "float32"] as const
export type StoredType = (typeof storedTypes)[number]

interface PairSettings {
  readonly dim: number
  readonly store: StoredType
}

/** Rows of a row group: their texts are in memory until it is written. */
const groupRows = 100_000

/** Both files are absent until `commit`. */
export class PairWriter {
  private rows = 0
  private waiting: ExportedPicture[] = []
  private readonly buffer = new ByteWriter()
  private readonly columns = new ParquetWriter({ writer: this.buffer, schema, createdBy: "mobileclip" })

  private constructor(
    private readonly vectors: PartFile,
    private readonly table: PartFile,
    private readonly settings: PairSettings,
  ) {}

  /** The folders exist. */
  static async begin(paths: { vectors: string; table: string }, settings: PairSettings): Promise<PairWriter> {
    const vectors = await PartFile.create(paths.vectors)
    try {
      const writer = new PairWriter(vectors, await PartFile.create(paths.table), settings)
      await vectors.append(writer.header())
      return writer
    } catch (error) {
      await vectors.abandon()
      throw error
    }
  }

  async add(pictures: readonly ExportedPicture[]): Promise<void> {
    if (pictures.length === 0) return
    this.rows += pictures.length
    await this.vectors.append(this.valuesOf(pictures))
    this.waiting.push(...pictures)
    if (this.waiting.length >= groupRows) await this.writeGroup()
  }

  /** The number of rows. */
  async commit(): Promise<number> {
    await this.writeGroup()
    this.columns.finish()
    await this.flush()
    await this.table.commit()
    await this.vectors.commit(this.header())
    return this.rows
  }

  async abandon(): Promise<void> {
    await Promise.all([this.vectors.abandon(), this.table.abandon()])
  }

  private async writeGroup(): Promise<void> {
    const pictures = this.waiting
    this.waiting = []
    if (pictures.length === 0) return
    const columnData = [
      { name: "image_path", data: pictures.map(({ path }) => path) },
      { name: "caption", data: pictures.map(({ caption }) => caption) },
    ]
    this.columns.write({ columnData, rowGroupSize: pictures.length })
    await this.flush()
  }

  /** Positions in the file go on, and the memory begins again. */
  private async flush(): Promise<void> {
    await this.table.append(this.buffer.getBytes())
    this.buffer.index = 0
  }

  /** As long for any number of rows: the padding takes the digits. */
  private header(): Uint8Array {
    const head = npyHeader([this.rows, this.settings.dim], this.settings.store === "float16" ? "<f2" : "<f4")
    assert(head.length === 128, `the header takes ${head.length} bytes`)
    return head
  }

  private valuesOf(pictures: readonly ExportedPicture[]): Uint8Array {
    const values = concatenate(pictures.map(({ vector }) => vector))
    const stored = this.settings.store === "float16" ? float32ToFloat16(values) : values
    return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength)
  }
}

const text = { type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "OPTIONAL" } as const
const schema: ConstructorParameters<typeof ParquetWriter>[0]["schema"] = [
  { name: "root", num_children: 2 },
  { name: "image_path", ...text },
  { name: "caption", ...text },
]
