/** How a model is loaded in a browser. */
import { kindOf, requireCount, requireOneOf, requireSignal } from "../core/arguments.ts"
import { UserError } from "../core/errors.ts"
import { towerChoices } from "../core/inference/onnx-files.ts"
import { isObject } from "../core/json.ts"
import { type DirectoryDtype, directoryDtypes } from "../core/precision.ts"
import type { HostLoadOptions } from "../run/clip-host.ts"
import { pageUrl } from "./page-url.ts"
import type { DecodeChoice, Device, Orientation } from "./protocol.ts"
import type { HubAddress } from "./weights/model-source.ts"

export interface BrowserLoadOptions extends HostLoadOptions {
  /**
   * Where to compute (default "auto"): the graphics processor where there is one, else WebAssembly. "webgpu" takes one that works
   * in software too, and throws UserError where there is none. In both cases one that fails its self-test is not used.
   */
  readonly device?: Device | "auto" | undefined
  /** Type of the weights, where the source has several. Default: "mixed" (pictures fp16, texts fp32), else what is there. */
  readonly dtype?: DirectoryDtype | undefined
  /** Threads of WebAssembly (default: up to 4). A page that is not cross-origin isolated has one. */
  readonly threads?: number | undefined
  /**
   * How JPEG files are decoded. "exact" (default): by libjpeg in WebAssembly, to the pixels that Node and Pillow give.
   * "browser": by the browser, which may use other arithmetic.
   */
  readonly decode?: DecodeChoice | undefined
  /**
   * Whether a picture's file is turned as its camera noted (default: "ignore", as training does): JPEG and PNG as in Node, others
   * as far as the browser does (Chromium leaves WebP as it is). What a page shows is taken as it is on the screen.
   */
  readonly orientation?: Orientation
  /** Files of larger pictures are refused before their pixels take memory (default: 100 million). */
  readonly maxPixels?: number
  /**
   * Where the .wasm files are. A text is the folder of ONNX Runtime's; default: beside the worker, where bundlers that know
   * `new URL(..., import.meta.url)` put them.
   */
  readonly wasmPaths?: string | WasmPaths | undefined
  /** Makes the worker, for bundlers that do not know `new Worker(new URL(...))`. It must be a module worker of a file of its own. */
  readonly worker?: ((device: Device) => Worker) | undefined
  /** Where names of the form owner/name are looked up. */
  readonly hub?: HubAddress | undefined
  /** Whether the server is asked for a newer version of what this browser keeps (default: true). */
  readonly revalidate?: boolean | undefined
}

/** Addresses of files, whole or relative to the page. */
export interface WasmPaths {
  /** ort-wasm-simd-threaded.wasm */
  readonly wasm?: string
  /** ort-wasm-simd-threaded.asyncify.wasm */
  readonly webgpu?: string
  /** mozjpeg_dec.wasm */
  readonly jpeg?: string
}

const fileNames = {
  wasm: "ort-wasm-simd-threaded.wasm",
  webgpu: "ort-wasm-simd-threaded.asyncify.wasm",
} as const satisfies Record<Device, string>

/** The whole address of a .wasm; null where none was given. */
export function wasmUrl(paths: BrowserLoadOptions["wasmPaths"], file: keyof WasmPaths): string | null {
  if (typeof paths !== "string") return paths?.[file] === undefined ? null : absolute(paths[file])
  return file === "jpeg" ? null : absolute(`${paths.replace(/\/*$/, "/")}${fileNames[file]}`)
}

function absolute(address: string): string {
  if (URL.canParse(address, pageUrl())) return new URL(address, pageUrl()).href
  throw new UserError(`wasmPaths: ${kindOf(address)} is not an address`, 'write "/assets/ort/"')
}

/** Throws UserError that lists what is possible. */
export function requireOptions(options: BrowserLoadOptions): void {
  if (!isObject(options)) throw new UserError(`options must be an object, not ${kindOf(options)}`, optionsHint)
  const { towers, dtype, threads, device, decode, orientation, maxPixels, worker, signal, onProgress } = options
  requireOneOf("towers", towers, towerChoices)
  requireOneOf("dtype", dtype, directoryDtypes)
  requireOneOf("device", device, ["auto", "webgpu", "wasm"])
  requireOneOf("decode", decode, ["exact", "browser"])
  requireOneOf("orientation", orientation, ["ignore", "apply"])
  requireCount("threads", threads)
  requireCount("maxPixels", maxPixels)
  requireFunction("worker", worker, "write (device) => new Worker(...)")
  requireFunction("onProgress", onProgress, "write ({ stage, file }) => console.log(stage, file)")
  requireSignal(signal)
}

const optionsHint = 'write { device: "wasm" }, or leave it out'

function requireFunction(name: string, value: unknown, hint: string): void {
  if (value === undefined || typeof value === "function") return
  throw new UserError(`${name} must be a function, not ${kindOf(value)}`, hint)
}
