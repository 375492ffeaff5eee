/** What a server asks of a model's process. */
import type { ErrorMessage } from "../../core/error-message.ts"
import { UserError } from "../../core/errors.ts"
import type { Preprocessing } from "../../core/image/preprocess.ts"
import type { PictureReading } from "../../pictures/reading.ts"

/** A text or a picture of a request cannot be used, whatever the machine. */
export class ContentError extends UserError {}

export interface ModelSettings extends PictureReading {
  /** Whatever `loadModel` takes. */
  readonly model: string
  readonly threads: number
  /** Pixels that a picture may have. */
  readonly maxPixels: number
}

/** A model that is open. */
export interface ServedModel {
  readonly name: string
  readonly embedDim: number
  /** Factor on cosines before a softmax; null where no file says. */
  readonly logitScale: number | null
  readonly license: string | null
  /** Tokens that it reads of a text; null where it has no text tower. */
  readonly contextLength: number | null
  /** Whether it has a decoder. */
  readonly hasCaptions: boolean
  readonly preprocessing: Preprocessing
  /** Pictures that it computes at a time. */
  readonly pictureSlots: number
  /** Identity of the files that it was opened from (`model-files.ts`). */
  readonly files: string
}

export type ModelTask =
  | { readonly kind: "texts"; readonly texts: readonly string[] }
  | { readonly kind: "picture"; readonly bytes: Uint8Array }
  | { readonly kind: "captions"; readonly bytes: Uint8Array; readonly perImage: number }

/** What is asked of the model that a server knows, and of no other. */
export type ModelRequest = ModelTask & Pick<ServedModel, "files">

/** Unit vectors [N, embedDim]; captions; why a picture or a text cannot be used; or that the model's files are others by now. */
export type ModelAnswer =
  | { readonly kind: "vectors"; readonly vectors: Float32Array }
  | { readonly kind: "captions"; readonly captions: readonly string[] }
  | { readonly kind: "refused"; readonly error: ErrorMessage }
  | { readonly kind: "changed" }
