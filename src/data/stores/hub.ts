/**
 * Files of Hugging Face repositories, read only: `hf://datasets/ORG/NAME[@REVISION]/path` and, for models,
 * `hf://ORG/NAME[@REVISION]/path`. They come over plain HTTP, which has byte ranges to go on from.
 */
import { messageOf, oneLine, UserError } from "../../core/errors.ts"
import { webAddress } from "../../host/network/address.ts"
import { listingFetch } from "../../host/network/bounded.ts"
import { isNetworkError, withRetries } from "../../host/network/network.ts"
import { fetchHttp, type HttpFile, NoSuchFile, readHttp, readOnly, request, statHttp } from "./http.ts"
import { retriesOf, type StoreSettings } from "./options.ts"
import type { FileFacts, LocalFile, Storage, TransferOptions, Written } from "./storage.ts"

interface HubPath {
  readonly type: "dataset" | "model" | "space"
  readonly repository: string
  readonly revision: string
  readonly path: string
}

const mostFiles = 1_000_000

export class HubStorage implements Storage {
  constructor(private readonly settings: StoreSettings) {}

  async fetch(url: string, options?: TransferOptions): Promise<LocalFile> {
    return fetchHttp(this.fileOf(url), this.settings, options)
  }

  async readBytes(url: string): Promise<Uint8Array | null> {
    return readHttp(this.fileOf(url), this.settings)
  }

  async stat(url: string): Promise<FileFacts | null> {
    return statHttp(this.fileOf(url), this.settings)
  }

  async list(folder: string): Promise<string[]> {
    const { path } = parseHubUrl(folder)
    try {
      const names = await withRetries(() => this.namesIn(folder), retriesOf(this.settings, folder))
      const start = path === "" ? "" : `${path}/`
      const below = names.filter((name) => name.startsWith(start))
      return below.map((name) => name.slice(start.length)).sort()
    } catch (error) {
      if (error instanceof NoSuchFile) return []
      throw error
    }
  }

  private async namesIn(folder: string): Promise<string[]> {
    const { listFiles } = await import("@huggingface/hub")
    const { type, repository: name, revision, path } = parseHubUrl(folder)
    const { endpoint, headers, accessHint } = this
    const ask: typeof fetch = (address, init) =>
      request({ url: folder, address: String(address), headers, accessHint }, init ?? {})
    const bounded = listingFetch(ask, { what: folder, endpoint, timeoutSeconds: this.settings.timeoutSeconds })
    const options = { repo: { type, name }, revision, path, recursive: true, hubUrl: endpoint, fetch: bounded }
    const names: string[] = []
    try {
      for await (const file of listFiles(options)) {
        if (file.type === "file") names.push(String(file.path))
        if (names.length > mostFiles) throw new UserError(`${folder} lists more than ${mostFiles} files`)
      }
      return names
    } catch (error) {
      throw error instanceof UserError || isNetworkError(error)
        ? error
        : new UserError(`${folder} cannot be listed: ${oneLine(messageOf(error))}`, accessHint)
    }
  }

  async put(url: string): Promise<Written> {
    throw readOnly(url)
  }

  async remove(url: string): Promise<void> {
    throw readOnly(url)
  }

  private get endpoint(): string {
    const { hub, env } = this.settings
    const address = hub?.endpoint || env.HF_ENDPOINT || "https://huggingface.co"
    return webAddress(address, "the hub's address", "check HF_ENDPOINT").href.replace(/\/+$/, "")
  }

  private get token(): string | null {
    const { hub, env } = this.settings
    return hub?.token === undefined ? env.HF_TOKEN?.trim() || null : hub.token
  }

  private get headers(): Readonly<Record<string, string>> {
    return this.token ? { Authorization: `Bearer ${this.token}` } : {}
  }

  private get accessHint(): string {
    return `check the name; if the repository is private or gated, set HF_TOKEN to a token from ${this.endpoint}/settings/tokens`
  }

  /** A redirect to another origin loses the token, as the fetch standard asks. */
  private fileOf(url: string): HttpFile {
    const { type, repository, revision, path } = parseHubUrl(url)
    if (path === "") throw new UserError(`${url} names a repository and no file in it`, "add the path of the file")
    const folder = type === "model" ? "" : `${type}s/`
    const tail = path.split("/").map(encodeURIComponent).join("/")
    return {
      url,
      address: `${this.endpoint}/${folder}${repository}/resolve/${encodeURIComponent(revision)}/${tail}`,
      headers: this.headers,
      accessHint: this.accessHint,
    }
  }
}

/** Throws UserError on other URLs. */
function parseHubUrl(url: string): HubPath {
  const pattern = /^hf:\/\/(?:(dataset|space|model)s\/)?([\w.-]+\/[\w.-]+)(?:@([^/]+))?(?:\/(.*))?$/i
  const [, type = "model", repository, revision = "main", path = ""] = pattern.exec(url) ?? []
  if (!repository) {
    throw new UserError(
      `${url} is not an address on the hub`,
      "hf://datasets/OWNER/NAME/path or hf://OWNER/NAME/path was expected",
    )
  }
  const clean = path.replace(/\/+$/, "")
  // A revision with a slash is written with %2F, as huggingface_hub does.
  return {
    type: type.toLowerCase() as HubPath["type"],
    repository,
    revision: decodeURIComponent(revision),
    path: clean,
  }
}
