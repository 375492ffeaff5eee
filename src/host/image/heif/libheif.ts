/**
 * libheif with libde265, as WebAssembly (libheif-js), by its C functions: they take positions in its memory, and so nothing is
 * copied twice. It is compiled once in a thread. Its memory never shrinks, and after an abort it is in no known state, so an
 * instance is left for a new one (5 ms) after a large picture and after each failure that it did not expect.
 */
import { readFile } from "node:fs/promises"
import { createRequire } from "node:module"
import { UserError } from "../../../core/errors.ts"

/** Positions and numbers of 32 bits; those that return an error write its three numbers where their first argument points. */
export interface Libheif {
  readonly HEAPU8: Uint8Array
  readonly HEAPU32: Uint32Array
  _malloc(bytes: number): number
  _free(at: number): void
  _heif_context_alloc(): number
  _heif_context_free(context: number): void
  _heif_context_get_security_limits(context: number): number
  _heif_context_read_from_memory_without_copy(
    error: number,
    context: number,
    at: number,
    bytes: number,
    options: number,
  ): void
  _heif_context_has_sequence(context: number): number
  _heif_context_get_primary_image_handle(error: number, context: number, out: number): void
  _heif_image_handle_get_width(handle: number): number
  _heif_image_handle_get_height(handle: number): number
  _heif_image_handle_release(handle: number): void
  _heif_decoding_options_alloc(): number
  _heif_decoding_options_free(options: number): void
  _heif_decode_image(
    error: number,
    handle: number,
    out: number,
    colorspace: number,
    chroma: number,
    options: number,
  ): void
  _heif_image_get_width(image: number, channel: number): number
  _heif_image_get_height(image: number, channel: number): number
  _heif_image_get_plane_readonly2(image: number, channel: number, outStride: number): number
  _heif_image_release(image: number): void
}

/** What libheif says of a file, after which it goes on; its words are for causes alone. */
export class HeifError extends Error {
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message)
  }
}

/** Whether it left the instance as it should be. */
export function isExpected(error: unknown): boolean {
  return error instanceof HeifError || error instanceof UserError
}

type Factory = (settings: object) => Libheif

interface Compiled {
  readonly factory: Factory
  readonly module: WebAssembly.Module
}

/** More than a picture of 12 million pixels takes, which is 92 MiB. */
const mostKeptBytes = 128 * 2 ** 20

let compiling: Promise<Compiled> | null = null
let kept: Libheif | null = null

/** `work` with an instance that nobody else uses meanwhile, because it does not wait for anything. */
export async function withLibheif<T>(work: (heif: Libheif) => T): Promise<T> {
  compiling ??= compile()
  const compiled = await compiling
  kept ??= instance(compiled)
  const heif = kept
  try {
    const result = work(heif)
    if (heif.HEAPU8.length > mostKeptBytes) kept = null
    return result
  } catch (error) {
    if (!isExpected(error) || heif.HEAPU8.length > mostKeptBytes) kept = null
    throw error
  }
}

async function compile(): Promise<Compiled> {
  const file = createRequire(import.meta.url).resolve("libheif-js/libheif-wasm/libheif.wasm")
  const { default: factory } = (await import("libheif-js/libheif-wasm/libheif.js")) as unknown as { default: Factory }
  return { factory, module: await WebAssembly.compile(await readFile(file)) }
}

function instance({ factory, module }: Compiled): Libheif {
  return factory({
    instantiateWasm(imports: WebAssembly.Imports, done: (instance: WebAssembly.Instance) => void) {
      const made = new WebAssembly.Instance(module, imports)
      done(made)
      return made.exports
    },
    // It says nothing to people, and ends no process.
    print: () => {},
    printErr: () => {},
    quit: (_: number, why: unknown) => {
      throw why
    },
  })
}
