/** What the page and its worker say to each other. Everything here survives a structured clone. */
import type { ErrorMessage } from "../core/error-message.ts"
import type { DirectoryDtype } from "../core/precision.ts"
import type { CaptionOptions } from "../run/caption/captioner.ts"
import type { ClipInfo, LoadProgress, Towers } from "../run/clip-host.ts"
import type { SentPicture } from "./pictures/picture.ts"
import type { HubAddress, ModelSource } from "./weights/model-source.ts"

/** A worker computes on one device for all its life: each has a build of ONNX Runtime of its own. */
export type Device = "webgpu" | "wasm"

export type TowerName = "image" | "text"

export interface FindRequest {
  readonly source: ModelSource
  /** The page's address, which others are relative to. */
  readonly baseUrl: string
  readonly towers: Towers
  readonly dtype: DirectoryDtype | undefined
  readonly hub: HubAddress | undefined
  readonly revalidate: boolean | undefined
  /** Whether the device computes in float16; without it, float32 weights are taken where the source has both. */
  readonly hasFloat16: boolean
}

/** A model before its towers are read. */
export interface Found {
  /** Digests of its weights: the same for the same contents, wherever they are. Null on WebAssembly, which is not tested. */
  readonly identity: string | null
  /** "onnxruntime-web 1.30.0" */
  readonly runtime: string
  readonly towers: readonly TowerName[]
  /** Whether a tower's weights are float16. */
  readonly needsFloat16: boolean
}

export interface StartRequest {
  readonly threads: number
  /** Address of ONNX Runtime's .wasm; null: beside the worker, where bundlers put it. */
  readonly runtimeUrl: string | null
  readonly decode: DecodeChoice
  /** Address of the JPEG decoder's .wasm; null: beside the worker. */
  readonly jpegUrl: string | null
  readonly orientation: Orientation
  readonly maxPixels: number
}

/** Whether a picture's file is turned as its camera noted. */
export type Orientation = "ignore" | "apply"

/** "exact": JPEG files by libjpeg in WebAssembly, the same pixels everywhere. "browser": everything by the browser. */
export type DecodeChoice = "exact" | "browser"

/** What the page asks for, in this order: `find` and `start` once, then the others as often as it likes. */
export interface Calls {
  find(request: FindRequest): Found
  start(request: StartRequest): ClipInfo
  /** What a tower gives for the fixed inputs [selfTestRows, embedDim]. */
  probe(tower: TowerName): Float32Array<ArrayBuffer>
  encodeImages(pictures: readonly SentPicture[]): Float32Array<ArrayBuffer>
  encodeTexts(texts: readonly string[]): Float32Array<ArrayBuffer>
  caption(pictures: readonly SentPicture[], options: CaptionOptions): string[][]
}

export type CallName = keyof Calls
export type Arguments<Name extends CallName> = Parameters<Calls[Name]>
export type Result<Name extends CallName> = ReturnType<Calls[Name]>

export type ToWorker =
  | { readonly kind: "call"; readonly id: number; readonly name: CallName; readonly args: readonly unknown[] }
  | { readonly kind: "abort"; readonly id: number }

export type ToPage =
  | { readonly kind: "result"; readonly id: number; readonly value: unknown }
  | { readonly kind: "error"; readonly id: number; readonly error: ErrorMessage }
  | { readonly kind: "progress"; readonly id: number; readonly progress: LoadProgress }
  /** The device is gone, and with it all that was computed on it. */
  | { readonly kind: "lost"; readonly reason: string }
