/**
 * What a host, Node or a browser, gives the library's face (`clip.ts`): a model that is open, with its own way from what a user
 * calls a picture to pixels.
 */
import type { Preprocessing } from "../core/image/preprocess.ts"
import type { Manifest } from "../core/inference/manifest.ts"
import type { Towers } from "../core/inference/onnx-files.ts"
import type { LabelStore } from "../core/text/label-store.ts"
import type { CaptionOptions } from "./caption/captioner.ts"

export type { Towers }

/** What loading is at. */
export interface LoadProgress {
  readonly stage: "download" | "verify" | "export" | "open" | "self-test"
  /** Relative to the model, or what is exported. */
  readonly file: string
  /** Bytes, where the stage has them. */
  readonly loaded: number
  /** Null where nobody says. */
  readonly total: number | null
  readonly from: "network" | "cache" | "disk"
}

export interface HostLoadOptions {
  /** Which towers are loaded (default: "both"): a search needs the text tower alone, an index the image tower alone. */
  readonly towers?: Towers | undefined
  /** Its abort ends the loading. */
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined
}

/** Which model computes, on what, and in which type: nobody has to wonder. */
export interface ClipInfo {
  readonly name: string
  readonly embedDim: number
  /** Factor on cosines before a softmax; null where no file says. */
  readonly logitScale: number | null
  readonly preprocessing: Preprocessing
  /** Tokens of a text; null without a text tower. */
  readonly contextLength: number | null
  /** Licence of the weights; null where no file says. */
  readonly license: string | null
  readonly towers: Towers
  /** "onnxruntime-node 1.30.0", "onnxruntime-web 1.30.0". */
  readonly runtime: string
  /** "cpu", "cuda", "webgpu", "wasm". */
  readonly device: string
  /** Type of the weights of each tower that is loaded. */
  readonly dtype: { readonly image?: string; readonly text?: string }
  readonly threads: number
  /** Null in the layouts of others. */
  readonly manifest: Manifest | null
  /** Choices that were made, with their reasons, in lines: "WebGPU failed its self-test (cosine 0.71): WASM computes". */
  readonly notes: readonly string[]
}

export interface ClipHost<Picture> {
  readonly info: ClipInfo
  /** Where vectors of labels are kept between runs; they are not where it is absent. */
  readonly labelStore?: LabelStore | null
  /** N pictures -> [N, embedDim], as the tower gives them. Throws UserError that names the first that cannot be read. */
  encodeImages(pictures: readonly Picture[], signal?: AbortSignal): Promise<Float32Array>
  /** N texts -> [N, embedDim], as the tower gives them. */
  encodeTexts(texts: readonly string[], signal?: AbortSignal): Promise<Float32Array>
  /** Captions of each picture. Throws UserError where the model has no decoder. */
  caption(pictures: readonly Picture[], options: CaptionOptions): Promise<string[][]>
  dispose(): Promise<void>
}
