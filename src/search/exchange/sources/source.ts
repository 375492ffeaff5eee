/** What pictures and vectors of other programs are read as, whatever file they come in. */

export const sourceKinds = ["clip-retrieval", "npy", "jsonl", "rclip", "immich"] as const
export type SourceKind = (typeof sourceKinds)[number]

/** Keys of JSON lines, and columns of parquet, that hold a picture's place, the most telling first. */
export const pathNames = [
  ...["image_path", "path", "file_path", "filepath", "file", "filename", "file_name", "image", "url", "key"],
] as const
export const captionNames = ["caption", "text", "TEXT", "description"] as const
/** Keys of JSON lines. */
export const vectorNames = ["vector", "embedding"] as const

export interface ImportedPicture {
  /** As the source has it: a path, a URL, or the key of a sample. */
  readonly path: string
  /** [dim], of any length; null: none. */
  readonly vector: Float32Array | null
  readonly caption?: string | null
  /** Local time of the camera, "2023-07-14T18:02:11". */
  readonly taken?: string | null
  readonly camera?: string | null
  /** Degrees. */
  readonly latitude?: number | null
  readonly longitude?: number | null
}

/** The model that made the vectors, as far as the source says. */
export interface SourceModel {
  readonly name: string
  /** What tells a model of ours from every other one; null: the source has names alone. */
  readonly identity: string | null
  /** Whether pictures were turned by their EXIF data first; null: not said. */
  readonly orientation: "apply" | "ignore" | null
}

export interface ImportSource extends AsyncDisposable {
  readonly kind: SourceKind
  /** For messages: a path. */
  readonly name: string
  /** Values of a vector; null: there are none. */
  readonly dim: number | null
  readonly model: SourceModel | null
  /** Null: not known before they are read. */
  readonly total: number | null
  /** One at a time, from the beginning each time it is called. Throws UserError where the source is damaged. */
  pictures(): AsyncGenerator<ImportedPicture>
}
