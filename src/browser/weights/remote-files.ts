/**
 * A model of a hub or a server: from what this browser keeps, else over the network.
 *
 * What is kept is used as long as the source lists the same contents. The source is asked for its listing at every load (one
 * small file) and has three seconds; without an answer what is kept is used, and a note says so. A commit of a repository never
 * changes, and is not asked for.
 */
import { messageOf, UserError } from "../../core/errors.ts"
import { manifestFile, parseManifest } from "../../core/inference/manifest.ts"
import { type DownloadOptions, download } from "./download.ts"
import type { FileProgress, FileSet, ReadFile } from "./file-set.ts"
import type { KeptModel } from "./kept-model.ts"
import { keptModelOf } from "./kept-models.ts"
import { listSource, type RemotePlace } from "./list-source.ts"
import type { ListedFile, Listing } from "./listing.ts"
import { exclusively, type WebHost } from "./web-host.ts"

interface RemoteOptions {
  readonly host: WebHost
  readonly signal: AbortSignal | undefined
  /** Whether the source is asked what it has where something is kept. */
  readonly revalidate: boolean
  /** The files that will be read: what is kept can only do without the network where it has them all. */
  needed(listing: Listing): readonly string[]
}

const mostMillisecondsForListing = 3000

export async function openRemoteFiles(place: RemotePlace, options: RemoteOptions): Promise<FileSet> {
  const notes: string[] = []
  const kept = await keptModelOf(options.host, addressOf(place))
  if (!kept) notes.push(`nothing is kept for the next load: ${whyNothingIsKept(options.host)}`)
  const listing = await currentListing(place, kept, notes, options)
  const { source, manifest, files } = listing
  return {
    ...{ where: source, name: nameOf(source), names: Object.keys(files), notes },
    manifest: manifest ? parseManifest(manifest, `${source}/${manifestFile}`) : null,
    read: (name, onProgress) => readFile(name, files[name]!, { ...options, kept, notes, onProgress }),
  }
}

/** What a user called it, whole: the name of what is kept of it. */
export function addressOf(place: RemotePlace): string {
  return place.kind === "folder" ? place.url : `${place.endpoint}/${place.repo}@${place.revision}`
}

function nameOf(source: string): string {
  return decodeURIComponent(new URL(source).pathname.split("/").filter(Boolean).at(-1) ?? new URL(source).host)
}

function whyNothingIsKept({ digest }: WebHost): string {
  return digest
    ? "this browser gives the page no storage"
    : "the page is not secure (neither https nor localhost), so that files are checked by their sizes alone"
}

// -------------------------------------------------------------------------------------------------------- listing

async function currentListing(
  place: RemotePlace,
  kept: KeptModel | null,
  notes: string[],
  options: RemoteOptions,
): Promise<Listing> {
  const known = (await kept?.listing()) ?? null
  const isWhole = kept !== null && known !== null && (await hasAll(kept, known, options))
  if (isWhole && (!options.revalidate || isFixed(place, known))) return known
  try {
    const listing = await ask(place, known, isWhole, options)
    await keepListing(kept, listing, notes)
    return listing
  } catch (error) {
    options.signal?.throwIfAborted()
    if (!isWhole) throw error
    notes.push(`what this browser keeps is used, because the source was not heard: ${messageOf(error)}`)
    return known
  }
}

function isFixed(place: RemotePlace, { commit }: Listing): boolean {
  return place.kind === "hub" && place.revision === commit
}

async function hasAll(kept: KeptModel, listing: Listing, { needed }: RemoteOptions): Promise<boolean> {
  try {
    const listed = needed(listing).map((name) => [name, listing.files[name]] as const)
    const each = await Promise.all(listed.map(async ([name, file]) => file !== undefined && kept.has(name, file)))
    return each.every(Boolean)
  } catch (error) {
    // What is wanted is not in what was there: the source may have it now.
    if (error instanceof UserError) return false
    throw error
  }
}

function ask(
  place: RemotePlace,
  known: Listing | null,
  isShort: boolean,
  { host, signal }: RemoteOptions,
): Promise<Listing> {
  if (!isShort) return listSource(place, known, { host, signal })
  const late = AbortSignal.timeout(mostMillisecondsForListing)
  return listSource(place, known, { host, signal: signal ? AbortSignal.any([signal, late]) : late })
}

/** Without room for a few kilobytes there is none for weights: they say it. */
async function keepListing(kept: KeptModel | null, listing: Listing, notes: string[]): Promise<void> {
  try {
    await kept?.keepListing(listing)
    await kept?.removeOthers(listing)
  } catch (error) {
    notes.push(`the model's listing is not kept: ${messageOf(error)}`)
  }
}

// ---------------------------------------------------------------------------------------------------------- files

interface ReadOptions extends Pick<RemoteOptions, "host" | "signal"> {
  readonly kept: KeptModel | null
  readonly notes: string[]
  readonly onProgress: (progress: FileProgress) => void
}

/** One tab fetches, others wait and find it. */
function readFile(name: string, listed: ListedFile, options: ReadOptions): Promise<ReadFile> {
  const { host, signal, kept } = options
  if (!kept) return fetchFile(name, listed, options)
  return exclusively(host, `${kept.folder} ${name}`, signal, async () => {
    const bytes = await readKept(kept, name, listed, options)
    return bytes ? { bytes, from: "cache" } : fetchFile(name, listed, options)
  })
}

async function readKept(kept: KeptModel, name: string, listed: ListedFile, { notes, onProgress }: ReadOptions) {
  const found = await kept.read(name, listed)
  if (found.state === "damaged") notes.push(`the kept ${name} was cut or altered, and is fetched again`)
  if (found.state !== "whole") return null
  const { length } = found.bytes
  onProgress({ stage: "verify", loaded: length, total: length, from: "cache" })
  return found.bytes
}

async function fetchFile(name: string, listed: ListedFile, options: ReadOptions): Promise<ReadFile> {
  const { host, signal, kept, notes, onProgress } = options
  const downloading: DownloadOptions = {
    ...{ host, signal, kept },
    onProgress: (loaded, total) => onProgress({ stage: "download", loaded, total, from: "network" }),
    onNote: (text) => notes.push(text),
  }
  return { bytes: await download(name, listed, downloading), from: "network" }
}
