/** The files of a model in a browser, from a hub, an address, or the user's own files. */
import { UserError } from "../../core/errors.ts"
import { type Manifest, manifestFile, parseManifest } from "../../core/inference/manifest.ts"
import type { OnnxDtype } from "../../core/precision.ts"
import type { LoadProgress, Towers } from "../../run/clip-host.ts"
import { type ClipDescription, describeOurs } from "../../run/description.ts"

/**
 * `owner/name` on the hub, the address of a folder (relative to the page, or whole), the files of a folder that a user chose,
 * or files by their names.
 */
export type ModelSource = string | URL | FileList | readonly File[] | Readonly<Record<string, Blob | Uint8Array>>

export interface OpenOptions {
  /** Default "both". */
  readonly towers?: Towers
  /** Type of the weights where the source has several; default "mixed": pictures in fp16, texts in fp32. */
  readonly dtype?: OnnxDtype | "mixed"
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: LoadProgress) => void
  readonly hub?: HubAddress
}

export interface HubAddress {
  readonly endpoint?: string
  /** A branch, tag or commit; default "main". */
  readonly revision?: string
}

/** A tower's graph, and the files of its weights beside it. */
export interface TowerFileNames {
  readonly file: string
  readonly beside: readonly string[]
  /** Of the weights. */
  readonly dtype: OnnxDtype
}

export interface ModelFiles {
  /** An address, or "files", for messages. */
  readonly where: string
  /** Null in the layouts of others. */
  readonly manifest: Manifest | null
  readonly description: ClipDescription
  /** Null where it was not asked for, or is not there. */
  readonly image: TowerFileNames | null
  readonly text: TowerFileNames | null
  /** Whole and checked. Throws UserError where it cannot be had. */
  file(name: string): Promise<Uint8Array<ArrayBuffer>>
  /** Where it came from, when `file` gave it. */
  from(name: string): "network" | "cache" | "memory"
  /** What a user should know, in lines: what could not be kept. */
  readonly notes: readonly string[]
}

export async function openModelFiles(source: ModelSource, options: OpenOptions = {}): Promise<ModelFiles> {
  const { towers = "both", signal, onProgress } = options
  const base = new URL(`${source}`.replace(/\/*$/, "/"), globalThis.document?.baseURI ?? globalThis.location?.href)
  const read = async (file: string) => {
    const url = new URL(file, base).href
    const response = await fetch(url, signal ? { signal } : {})
    if (!response.ok) throw new UserError(`${url} answered ${response.status}`, "check the address of the model")
    const bytes = new Uint8Array(await response.arrayBuffer())
    onProgress?.({ stage: "download", file, loaded: bytes.length, total: bytes.length, from: "network" })
    return bytes
  }
  const url = `${base}${manifestFile}`
  const manifest = parseManifest(JSON.parse(new TextDecoder().decode(await read(manifestFile))), url)
  const names = (tower: "image" | "text"): TowerFileNames | null => {
    const file = manifest.towers[tower]?.file
    if (!file || ![tower, "both"].includes(towers)) return null
    return { file, beside: [`${file}_data`].filter((name) => name in manifest.files), dtype: manifest.dtype }
  }
  return {
    ...{ where: base.href, manifest, description: describeOurs(manifest), notes: [] },
    ...{ image: names("image"), text: names("text") },
    file: read,
    from: () => "network",
  }
}
