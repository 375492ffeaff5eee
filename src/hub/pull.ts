/** A model from the hub into the shared cache: by name, repository or path to a local file that any command reads. */
import { existsSync } from "node:fs"
import { stat } from "node:fs/promises"
import { basename } from "node:path"
import { UserError } from "../core/errors.ts"
import { requireInside } from "../core/inside.ts"
import type { Retries } from "../host/network/network.ts"
import { type CachedFile, RepositoryCache } from "./cache.ts"
import { chooseWeights } from "./choose-weights.ts"
import { download } from "./download.ts"
import { licenseOf } from "./license.ts"
import type { License } from "./released.ts"
import { askHub, companionsOf, type RemoteFile, type Repository } from "./repository.ts"
import { defaultRetryDelays, HubUnreachable, hubFetch, unheardRetries } from "./requests.ts"
import { type Environment, type HubOptions, type HubSettings, hubSettings } from "./settings.ts"
import { type HubSource, resolveSource } from "./source.ts"

export interface PullOptions extends HubOptions {
  /** Branch, tag or commit; it takes the place of one in the source. */
  readonly revision?: string | undefined
  /** Path of the weights in the repository. */
  readonly file?: string | undefined
  /**
   * Chooses the files that are wanted in place of weights, given all files; the result's path is that of the first. Null for
   * weights. It is not called where the source or the table names a file.
   */
  readonly select?: ((paths: readonly string[], repo: string) => readonly string[] | null) | undefined
  /** Downloads again what is in the cache. */
  readonly force?: boolean | undefined
  readonly signal?: AbortSignal | undefined
  /** Bytes of all files that were missing; called often. */
  readonly onProgress?: (done: number, total: number) => void
  /** Is called as soon as the licence is known, before the weights are downloaded. */
  readonly onLicense?: (license: License, repo: string) => void | Promise<void>
  /** Is told what the user should know, in a line. */
  readonly onNote?: (text: string) => void
  /** Default: the process's. */
  readonly env?: Environment
  /** Seconds before each further attempt when the network fails. */
  readonly retryDelays?: readonly number[]
}

export interface PullResult {
  /** The local file, or the path that was given. */
  readonly path: string
  /** null where the source was a path; so are `revision` and `license`. */
  readonly repo: string | null
  /** The commit. */
  readonly revision: string | null
  readonly file: string
  readonly bytes: number
  readonly sha256: string | null
  readonly license: License | null
  /** Nothing had to be downloaded for the weights. */
  readonly cached: boolean
}

/** `pull`, or a version that shows its progress. */
export type PullWeights = (source: string, options: Pick<PullOptions, "select" | "signal">) => Promise<PullResult>

/** A name or a repository of which the cache has nothing, where nothing may be downloaded. */
export class NotCached extends UserError {}

interface Request extends HubSource {
  readonly revision: string
}

/**
 * Finds what `source` names (see `resolveSource`) and makes sure that it is in the cache.
 *
 * @throws UserError for what a user can fix; AbortError when the signal is aborted; what was downloaded is kept
 */
export async function pull(source: string, options: PullOptions = {}): Promise<PullResult> {
  const resolved = resolveSource(source, existsSync)
  if (resolved.kind === "path") return localResult(resolved.path)
  const settings = await hubSettings(options, options.env ?? process.env)
  const file = options.file ?? resolved.file
  const request = {
    ...resolved,
    file: file === null ? null : requireInside(file, source, "give the file's path in the repository"),
    revision: checkRevision(options.revision ?? resolved.revision ?? "main"),
  }
  return new Pull(request, settings, options).run()
}

async function localResult(path: string): Promise<PullResult> {
  const found = await stat(path)
  const file = { path, file: basename(path), bytes: found.isFile() ? found.size : 0 }
  return { ...file, repo: null, revision: null, sha256: null, license: null, cached: true }
}

/** A revision becomes the name of a file in the cache. */
function checkRevision(revision: string): string {
  if (/^[\w.-]+(\/[\w.-]+)*$/.test(revision) && !/(^|\/)\.\.?(\/|$)/.test(revision)) return revision
  throw new UserError(`"${revision}" is not a revision`, "give a branch, a tag or a commit")
}

interface CachedWeights extends CachedFile {
  readonly commit: string
  readonly file: string
}

class Pull {
  private readonly cache: RepositoryCache
  private readonly fetch: typeof fetch
  private readonly retries: Retries

  constructor(
    private readonly request: Request,
    private readonly settings: HubSettings,
    private readonly options: PullOptions,
  ) {
    this.cache = new RepositoryCache(settings.cacheDir, request.repo)
    this.fetch = hubFetch(settings, request.repo, options)
    this.retries = {
      delays: options.retryDelays ?? defaultRetryDelays,
      signal: options.signal,
      onRetry: options.onNote,
    }
  }

  async run(): Promise<PullResult> {
    const { repo, revision, file } = this.request
    const cached = this.options.force ? null : await this.findCached()
    if (this.settings.offline) return cached ? this.fromCache(cached) : this.failOffline()
    try {
      const { delays } = this.retries
      // Where there is a copy, a network that is down need not be waited for.
      const retries = { ...this.retries, unheardRetries, delays: cached ? delays.slice(0, 1) : delays }
      const { endpoint, timeoutSeconds } = this.settings
      const repository = await askHub({ repo, revision, endpoint, timeoutSeconds }, this.fetch, retries)
      return await this.fromHub(repository, this.choose(repository.files, file, repo))
    } catch (error) {
      if (!cached || !(error instanceof HubUnreachable)) throw error
      this.options.onNote?.(`${error.message}; this is the copy in the cache`)
      return this.fromCache(cached)
    }
  }

  /** The wanted files, the main one first. */
  private choose<T extends { readonly path: string }>(files: readonly T[], file: string | null, repo: string) {
    const names = files.map(({ path }) => path)
    const selected = file === null ? this.options.select?.(names, repo) : null
    if (!selected) return [chooseWeights(files, file, repo)] as const
    return selected.map((name) => files.find(({ path }) => path === name)!) as [T, ...T[]]
  }

  private async fromHub(repository: Repository, chosen: readonly [RemoteFile, ...RemoteFile[]]): Promise<PullResult> {
    const { commit, files } = repository
    const license = await this.showLicense(repository.license)
    const [weights] = chosen
    const beside = companionsOf(files, weights.path).filter((file) => !chosen.includes(file))
    // The main file comes last: where it is there, all files are.
    const wanted = [...beside, ...chosen.toReversed()]
    const missing: RemoteFile[] = []
    for (const file of wanted) {
      if (this.options.force || !(await this.cache.holds(commit, file))) missing.push(file)
    }
    await this.downloadAll(missing, commit)
    for (const file of wanted) await this.cache.link(commit, file.path, file.etag)
    await this.cache.saveRevision(this.request.revision, commit)
    const cached = !missing.includes(weights)
    return this.result(commit, weights.path, (await this.cache.find(commit, weights.path))!, license, cached)
  }

  private async downloadAll(files: readonly RemoteFile[], commit: string): Promise<void> {
    const total = files.reduce((sum, { size }) => sum + size, 0)
    let before = 0
    for (const file of files) {
      await download(file, {
        url: `${this.settings.endpoint}/${this.request.repo}/resolve/${commit}/${encodePath(file.path)}`,
        blob: this.cache.blob(file.etag),
        fetch: this.fetch,
        retries: this.retries,
        timeoutSeconds: this.settings.timeoutSeconds,
        onProgress: (done) => this.options.onProgress?.(before + done, total),
      })
      before += file.size
    }
  }

  /** The repository at the revision when it was pulled last; null where the cache does not have it. */
  private async findCached(): Promise<CachedWeights | null> {
    const { revision, file } = this.request
    const commit = await this.cache.commitOf(revision)
    if (commit === null) return null
    const names = (await this.cache.files(commit)).map((path) => ({ path }))
    if (file === null && names.length === 0) return null
    const paths = file !== null ? [file] : this.chooseCached(names)
    const found = await Promise.all(paths.map((path) => this.cache.find(commit, path)))
    const [first] = found
    return first && found.every(Boolean) ? { ...first, commit, file: paths[0]! } : null
  }

  /** Empty where the cache holds other files of the repository: the hub may have more. */
  private chooseCached(names: readonly { readonly path: string }[]): string[] {
    try {
      return this.choose(names, null, `the cached ${this.request.repo}`).map(({ path }) => path)
    } catch (error) {
      if (error instanceof UserError && this.options.select) return []
      throw error
    }
  }

  private async fromCache(cached: CachedWeights): Promise<PullResult> {
    return this.result(cached.commit, cached.file, cached, await this.showLicense(null), true)
  }

  private failOffline(): never {
    const { repo, revision } = this.request
    throw new NotCached(
      `${repo} (${revision}) is not in ${this.settings.cacheDir}, and HF_HUB_OFFLINE allows no download`,
      "unset HF_HUB_OFFLINE, or copy the cache from a machine that has it",
    )
  }

  private async showLicense(tag: string | null): Promise<License | null> {
    const { repo, release } = this.request
    const license = licenseOf(tag, release, `${this.settings.endpoint}/${repo}`)
    if (license) await this.options.onLicense?.(license, repo)
    return license
  }

  private result(
    commit: string,
    file: string,
    { path, bytes, sha256 }: CachedFile,
    license: License | null,
    cached: boolean,
  ): PullResult {
    return { path, repo: this.request.repo, revision: commit, file, bytes, sha256, license, cached }
  }
}

function encodePath(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/")
}
