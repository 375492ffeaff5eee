/** What a repository on the hub holds, asked through @huggingface/hub, and which of its files are wanted. */
import type { ListFileEntry } from "@huggingface/hub"
import { messageOf, oneLine, UserError } from "../core/errors.ts"
import { requireInside } from "../core/inside.ts"
import { listingFetch } from "../host/network/bounded.ts"
import { isNetworkError, type Retries } from "../host/network/network.ts"
import { isCommit } from "./cache.ts"
import { withHubRetries } from "./requests.ts"

export interface RemoteFile {
  /** Relative to the repository, with forward slashes. */
  readonly path: string
  readonly size: number
  /** Name of its blob in the cache: sha256 of the contents, or git's sha1 for files kept in git itself. */
  readonly etag: string
  readonly checksum: "sha256" | "git-sha1"
}

export interface Repository {
  readonly commit: string
  /** The hub's tag, "apple-amlr"; null if there is none. */
  readonly license: string | null
  readonly files: readonly RemoteFile[]
}

interface Question {
  readonly repo: string
  readonly revision: string
  readonly endpoint: string
  readonly timeoutSeconds: number
}

/** More than any model has. */
const mostFiles = 100_000

/** @throws HubUnreachable when the network is down, UserError for an answer that does not come from a hub */
export function askHub(
  { repo, revision, endpoint, timeoutSeconds }: Question,
  fetch: typeof globalThis.fetch,
  retries: Retries,
): Promise<Repository> {
  return withHubRetries(
    repo,
    async () => {
      const { listFiles, modelInfo } = await import("@huggingface/hub")
      try {
        const bounded = listingFetch(fetch, { what: repo, endpoint, timeoutSeconds })
        const params = { hubUrl: endpoint, fetch: bounded }
        const { sha, tags } = await modelInfo({ ...params, name: repo, revision, additionalFields: ["sha", "tags"] })
        if (!isCommit(sha)) throw new Error(`no commit, but "${sha}"`)
        const files: RemoteFile[] = []
        for await (const entry of listFiles({ ...params, repo, revision: sha, recursive: true })) {
          if (entry.type === "file") files.push(remoteFile(entry, repo))
          if (files.length > mostFiles) throw new UserError(`${repo} lists more than ${mostFiles} files`)
        }
        return { commit: sha, license: licenseTag(tags), files }
      } catch (error) {
        throw error instanceof UserError || isNetworkError(error) ? error : notAHub(endpoint, error)
      }
    },
    retries,
  )
}

function remoteFile({ path, size, oid, lfs }: Pick<ListFileEntry, "path" | "size" | "oid" | "lfs">, repo: string) {
  requireInside(path, `the list of files of ${repo}`)
  if (!Number.isSafeInteger(size) || size < 0) throw new Error(`no size for ${path}`)
  const [etag, checksum, pattern] = lfs
    ? [lfs.oid, "sha256" as const, /^[0-9a-f]{64}$/]
    : [oid ?? "", "git-sha1" as const, /^[0-9a-f]{40}$/]
  if (!pattern.test(etag)) throw new Error(`no checksum for ${path}`)
  return { path, size, etag, checksum }
}

function licenseTag(tags: readonly string[] | undefined): string | null {
  return tags?.find((tag) => tag.startsWith("license:"))?.slice("license:".length) ?? null
}

/** The error for an answer that is not JSON, or lacks what it should have. */
function notAHub(endpoint: string, error: unknown): UserError {
  return new UserError(
    `${endpoint} does not answer as a model hub does: ${oneLine(messageOf(error))}`,
    "check HF_ENDPOINT",
  )
}

const companion = /^(open_clip_config\.json|config\.json|preprocessor_config\.json|LICEN[CS]E[^/]*)$/i
const largestCompanion = 1_000_000

/** Small files that say what the weights are and under which terms. */
export function companionsOf(files: readonly RemoteFile[], weightsPath: string): RemoteFile[] {
  const folder = weightsPath.slice(0, weightsPath.lastIndexOf("/") + 1)
  return files.filter(({ path, size }) => {
    const name = path.startsWith(folder) ? path.slice(folder.length) : path
    return size <= largestCompanion && companion.test(name) && path !== weightsPath
  })
}
