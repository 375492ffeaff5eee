/**
 * A model directory on a web server, once in this user's cache: `models/<name>-<digest of its manifest>`. Each file is kept
 * when its size and SHA-256 are those of the manifest, and the manifest when all files are there.
 */
import { createHash } from "node:crypto"
import { existsSync, statSync } from "node:fs"
import { dirname, join } from "node:path"
import { EnvironmentError, oneLine, UserError } from "../core/errors.ts"
import { type Manifest, manifestFile, parseManifest } from "../core/inference/manifest.ts"
import { findOnnxFiles } from "../core/inference/onnx-files.ts"
import { requireFileName } from "../core/inside.ts"
import { isObject, jsonOrNull } from "../core/json.ts"
import { makeDirectory, readBytesIfThere, writeAtomically } from "../host/files/files.ts"
import { webAddress } from "../host/network/address.ts"
import { readBounded } from "../host/network/bounded.ts"
import { failuresOf, NetworkFailure, type Retries, Watchdog } from "../host/network/network.ts"
import { fetchFollowing } from "../host/network/redirects.ts"
import { download } from "../hub/download.ts"
import { defaultRetryDelays, HubUnreachable, unheardRetries, withHubRetries } from "../hub/requests.ts"
import { ownCacheDir } from "../native/own-cache.ts"
import type { NamedDirectory, SourceOptions } from "./model-directory.ts"

/** The answer, and every further piece of it, must come within this many seconds. */
const timeoutSeconds = 30

/** A manifest has some kilobytes. */
const mostBytesOfManifest = 2 ** 22

/** Letters of a model's name in the name of its folder, which file systems end at 255 bytes; its digest tells models apart. */
const longestName = 50

/**
 * The directory in the cache, with the files of the wanted towers. The manifest is asked for each time; where the server
 * cannot be reached, the directory that was downloaded last from this address is taken.
 *
 * @throws UserError where there is no manifest, or a file is not the one that it lists; the signal's reason
 */
export async function downloadedModel(address: string, options: SourceOptions): Promise<NamedDirectory> {
  const base = folderAddress(address)
  const kept = join(modelsFolder(), "addresses", `${digestOf(base.href).slice(0, 32)}.json`)
  if (options.offline) return requireKept(kept, base, null)
  // Where there is a copy, a server that is down need not be waited for.
  const delays = existsSync(kept) ? defaultRetryDelays.slice(0, 1) : defaultRetryDelays
  const server = new ModelServer(base, { delays, unheardRetries, signal: options.signal })
  try {
    const found = await new DirectoryDownload(server, await server.manifest(), options).run()
    await makeDirectory(dirname(kept))
    await writeAtomically(kept, [new TextEncoder().encode(JSON.stringify({ address: base.href, ...found }))])
    return found
  } catch (error) {
    if (!(error instanceof HubUnreachable)) throw error
    return requireKept(kept, base, error)
  }
}

function modelsFolder(): string {
  return join(ownCacheDir(process.env), "models")
}

/** With a slash at its end; the address of the manifest itself is taken too. */
function folderAddress(address: string): URL {
  const url = webAddress(address, "the model's address", hint)
  url.pathname = url.pathname.replace(new RegExp(`(/|/${manifestFile})?$`), "/")
  url.search = ""
  url.hash = ""
  return url
}

const hint = `an address is that of a folder with ${manifestFile}, which \`mobileclip export\` writes; a repository on the hub is named owner/name`

async function requireKept(path: string, base: URL, cause: EnvironmentError | null): Promise<NamedDirectory> {
  const bytes = await readBytesIfThere(path)
  const record = bytes && jsonOrNull(new TextDecoder().decode(bytes))
  if (isObject(record) && typeof record.directory === "string" && typeof record.name === "string") {
    if (existsSync(join(record.directory, manifestFile))) return { directory: record.directory, name: record.name }
  }
  if (!cause)
    throw new UserError(`${base.href} is not in the cache, and nothing may be downloaded`, "leave out `offline`")
  throw new EnvironmentError(cause.message, "check the address and the network, and run again: what came is kept", {
    cause,
  })
}

function digestOf(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex")
}

// ---------------------------------------------------------------------------------------------------------- server

class ModelServer {
  constructor(
    readonly base: URL,
    readonly retries: Retries,
  ) {}

  manifest(): Promise<Uint8Array> {
    const address = new URL(manifestFile, this.base).href
    return withHubRetries(address, () => this.read(address), this.retries)
  }

  /** The whole answer, which neither stops nor comes a byte at a time. */
  private async read(address: string): Promise<Uint8Array> {
    using watchdog = new Watchdog(timeoutSeconds)
    const response = await this.fetch(address, { signal: watchdog.signal })
    const heard = (bytes: number) => watchdog.heard(bytes)
    const body = readBounded(response.body ?? [], { what: address, mostBytes: mostBytesOfManifest, heard })
    return watchdog.orAbort(failuresOf(body))
  }

  readonly fetch: typeof fetch = async (input, init) => {
    const url = new URL(String(input))
    using watchdog = new Watchdog(timeoutSeconds)
    const signals = [watchdog.signal, this.retries.signal, init?.signal].filter((one) => one != null)
    const asked = fetchFollowing(fetch, url, { ...init, signal: AbortSignal.any(signals) })
    const response = await watchdog.orAbort(failuresOf(asked, `${url.host}: `))
    if (response.ok || response.status === 416) return response
    await response.body?.cancel()
    throw statusError(response.status, url)
  }
}

function statusError(status: number, url: URL): Error {
  if (status === 429 || status >= 500) return new NetworkFailure(`${url.host} answered ${status}`)
  if (status === 404) return new UserError(`there is no ${url.href} (404)`, hint)
  return new EnvironmentError(`${url.host} answered ${status} for ${url.href}`, "check who may read it")
}

// -------------------------------------------------------------------------------------------------------- download

class DirectoryDownload {
  private readonly manifest: Manifest
  private readonly directory: string

  constructor(
    private readonly server: ModelServer,
    private readonly bytes: Uint8Array,
    private readonly options: SourceOptions,
  ) {
    const { href } = new URL(manifestFile, server.base)
    this.manifest = manifestOf(bytes, href)
    this.directory = join(
      modelsFolder(),
      requireFileName(`${this.manifest.name.slice(0, longestName)}-${digestOf(bytes).slice(0, 16)}`, href),
    )
  }

  async run(): Promise<NamedDirectory> {
    const { dtype, towers } = this.options
    const { files, name } = this.manifest
    const needed = findOnnxFiles(
      [manifestFile, ...Object.keys(files)],
      dtype ?? null,
      this.server.base.href,
      towers,
    )!.files
    for (const file of needed.filter((path) => path !== manifestFile)) await this.bring(file)
    await writeAtomically(join(this.directory, manifestFile), [this.bytes])
    return { directory: this.directory, name }
  }

  private async bring(file: string): Promise<void> {
    const { bytes: size, sha256 } = this.manifest.files[file]!
    const path = join(this.directory, ...file.split("/"))
    const tell = (loaded: number, from: "network" | "cache") =>
      this.options.onProgress?.({ stage: "download", file, loaded, total: size, from })
    if (statSync(path, { throwIfNoEntry: false })?.size === size) return tell(size, "cache")
    const { base, fetch, retries } = this.server
    const url = new URL(file.split("/").map(encodeURIComponent).join("/"), base).href
    const onProgress = (done: number) => tell(done, "network")
    await download(
      { path: file, size, etag: sha256, checksum: "sha256" },
      { url, blob: path, fetch, retries, timeoutSeconds, onProgress },
    )
  }
}

function manifestOf(bytes: Uint8Array, address: string): Manifest {
  const text = new TextDecoder().decode(bytes)
  const value = jsonOrNull(text)
  if (value !== null) return parseManifest(value, address)
  throw new UserError(`${address} is not JSON, but begins with "${oneLine(text.trimStart(), 40)}"`, hint)
}
