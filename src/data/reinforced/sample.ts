/** An image-text sample with what captioners and teachers add to it, in any format on disk. */
import { pictureFormat } from "../../host/image/picture-format.ts"
import type { StoredAugmentation } from "../augment/augmentation.ts"

export interface ReinforcedSample {
  /** The uid, by which several sets of shards are joined. */
  readonly key: string
  /** The encoded picture; null where a shard holds none, as in the released datasets. */
  readonly image: EncodedImage | null
  readonly url: string | null
  /** Captions the sample came with; most have one. */
  readonly texts: readonly string[]
  /** Synthetic captions by key: `syn_text` -> 5 texts. */
  readonly synTexts: ReadonlyMap<string, readonly string[]>
  /** The stored views, one for each row of `image_emb`; null before the embedding stage. */
  readonly paramAug: readonly StoredAugmentation[] | null
  /**
   * Rows of vectors by key: `image_emb` with a row for each view, `text_emb` with a row for each caption (in the released
   * layout, the synthetic ones after the original), `<synthetic key>_emb`. Teachers are side by side, each of unit length.
   */
  readonly embeddings: ReadonlyMap<string, Embeddings>
  /** The json member, or the other fields of a JSONL line. */
  readonly fields: Readonly<Record<string, unknown>>
  /** Members of a tar that are not read here, by extension; they are carried along. */
  readonly others: ReadonlyMap<string, Uint8Array>
}

export interface EncodedImage {
  /** In lower case, without a dot: jpg, png, webp, ... */
  readonly extension: string
  readonly bytes: Uint8Array
}

/** Extensions of pictures, in order of preference where a sample has several. */
export const pictureExtensions = [
  ...["jpg", "jpeg", "jfif", "jpe", "png", "webp", "gif", "tif", "tiff", "bmp", "avif", "heic", "heif", "hif"],
]

/** `jpg` where the first bytes do not tell the format; decoding the picture will. */
export function pictureExtension(bytes: Uint8Array): string {
  return pictureFormat(bytes) ?? "jpg"
}

/** [rows, width], row-major. */
export interface Embeddings {
  readonly rows: number
  readonly width: number
  readonly values: Float32Array
  /** The type in which they are stored; bfloat16 values are already rounded. */
  readonly dtype: "float32" | "bfloat16"
}

/** Something that was wrong with a sample, or with a whole shard where there is no key. */
export interface Problem {
  readonly key: string | null
  /** What is wrong and what was expected, in one line. */
  readonly reason: string
  /** `kept`: the sample is read all the same. */
  readonly action: "dropped" | "kept"
}
