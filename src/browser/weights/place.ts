/** What a user may call a model in a browser. Pure: nothing is fetched here. */
import { kindOf } from "../../core/arguments.ts"
import { oneLine, UserError } from "../../core/errors.ts"
import { defaultHub } from "../../core/hub-address.ts"
import { manifestFile } from "../../core/inference/manifest.ts"
import { isObject } from "../../core/json.ts"

/**
 * `owner/name` on the hub; the address of a folder, whole or relative to the page, as "./models/s0/"; the files of a folder
 * that a user chose; or files by their names in the folder.
 */
export type ModelSource = string | URL | FileList | readonly File[] | Readonly<Record<string, Blob | Uint8Array>>

export interface HubAddress {
  /** Default: the one that `mobileclip pull` asks. */
  readonly endpoint?: string
  /** A branch, tag or commit; default "main". */
  readonly revision?: string
}

export type Place =
  | { readonly kind: "files"; readonly files: ReadonlyMap<string, Blob> }
  /** With a slash at its end. */
  | { readonly kind: "folder"; readonly url: string }
  | { readonly kind: "hub"; readonly endpoint: string; readonly repo: string; readonly revision: string }

export const whatMayBeAModel =
  "a model is the address of a folder that `mobileclip convert` wrote, such as ./models/s0/, a repository of the hub with such files (owner/name), or the files themselves"

/** @throws UserError for what cannot be a model's name, address or files */
export function placeOf(source: ModelSource, hub: HubAddress, baseUrl: string): Place {
  if (source instanceof URL) return folder(source.href, baseUrl)
  if (typeof source !== "string") return { kind: "files", files: filesOf(source) }
  const name = source.replace(/^hf[-_]hub:/i, "")
  if (name !== source || repoPattern.test(name)) return repository(name, hub)
  return folder(source, baseUrl)
}

/** The same for a worker: an address has no object there, and files forget there which folder they were in. */
export function sendableSource(source: ModelSource): string | Readonly<Record<string, Blob>> {
  if (source instanceof URL) return source.href
  return typeof source === "string" ? source : Object.fromEntries(filesOf(source))
}

const repoPattern = /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*(@[^/]+)?$/

function repository(name: string, { endpoint = defaultHub, revision }: HubAddress): Place {
  if (!repoPattern.test(name))
    throw new UserError(`"${oneLine(name)}" is not a repository (owner/name)`, whatMayBeAModel)
  const [repo, given] = name.split("@") as [string, string?]
  return { kind: "hub", endpoint: endpoint.replace(/\/+$/, ""), repo, revision: given ?? revision ?? "main" }
}

function folder(text: string, baseUrl: string): Place {
  const base = baseUrl || undefined
  const url = URL.canParse(text, base) ? new URL(text, base) : null
  if (!url || !/^https?:$/.test(url.protocol) || text.trim() === "")
    throw new UserError(`"${oneLine(text)}" is not the address of a model`, whatMayBeAModel)
  if (url.username || url.password)
    throw new UserError(`${url.host}: an address with a user name or a password is not read`, "leave them out")
  url.hash = ""
  url.search = ""
  url.pathname = url.pathname.replace(new RegExp(`${manifestFile}$`), "").replace(/\/*$/, "/")
  return { kind: "folder", url: url.href }
}

/** By their names in the folder: the folder's own name, which browsers put before them, is left out. */
function filesOf(source: Exclude<ModelSource, string | URL>): ReadonlyMap<string, Blob> {
  const files = isList(source) ? Array.from(source, (file) => [pathOf(file), file] as const) : entriesOf(source)
  if (files.length > 0) return new Map(files)
  throw new UserError("there are no files in what was given as a model", whatMayBeAModel)
}

function isList(source: object): source is FileList | readonly File[] {
  return Array.isArray(source) || (typeof FileList !== "undefined" && source instanceof FileList)
}

function pathOf(file: File): string {
  if (!(file instanceof Blob)) throw new UserError(`a model's files include ${kindOf(file)}`, whatMayBeAModel)
  return file.webkitRelativePath ? file.webkitRelativePath.replace(/^[^/]*\//, "") : file.name
}

function entriesOf(source: unknown): (readonly [string, Blob])[] {
  if (!isObject(source)) throw new UserError(`a model's source is ${kindOf(source)}`, whatMayBeAModel)
  return Object.entries(source).map(([name, file]) => {
    if (file instanceof Blob) return [name, file]
    if (file instanceof Uint8Array) return [name, new Blob([file as Uint8Array<ArrayBuffer>])]
    throw new UserError(`the model's file "${oneLine(name)}" is ${kindOf(file)}`, "give a Blob or a Uint8Array")
  })
}
