/**
 * The shared Hugging Face cache, as Python's huggingface_hub and @huggingface/hub lay it out:
 *
 *     models--owner--name/
 *       refs/main                   the commit that a branch or tag stood for
 *       blobs/<etag>                contents: named by sha256 for large files, by git's sha1 for small ones
 *       snapshots/<commit>/<file>   links to blobs
 */
import { copyFile, readdir, realpath, rename, rm, stat, symlink } from "node:fs/promises"
import { basename, dirname, join, relative, sep } from "node:path"
import { makeDirectory, readBytes, requireSmall, writeAtomically } from "../host/files/files.ts"
import { removeAbandonedOnce, stagingPath } from "../host/files/staging.ts"

export interface CachedFile {
  /** The link in the snapshot: what a user gets. */
  readonly path: string
  readonly bytes: number
  /** null for small files, which git names by its sha1. */
  readonly sha256: string | null
}

/** `owner/name` -> `models--owner--name` */
export function repositoryFolder(repo: string): string {
  return ["models", ...repo.split("/")].join("--")
}

export class RepositoryCache {
  readonly folder: string

  constructor(cacheDir: string, repo: string) {
    this.folder = join(cacheDir, repositoryFolder(repo))
  }

  blob(etag: string): string {
    return join(this.folder, "blobs", etag)
  }

  snapshot(commit: string): string {
    return join(this.folder, "snapshots", commit)
  }

  /** The commit that `revision` stood for when it was pulled last; null if it never was. */
  async commitOf(revision: string): Promise<string | null> {
    if (isCommit(revision)) return revision
    const path = join(this.folder, "refs", revision)
    const text = new TextDecoder().decode(await readBytes(path, requireSmall(path, 1000)).catch(() => new Uint8Array()))
    return isCommit(text.trim()) ? text.trim() : null
  }

  async saveRevision(revision: string, commit: string): Promise<void> {
    const path = join(this.folder, "refs", revision)
    await makeDirectory(dirname(path))
    if (revision !== commit) await writeAtomically(path, [commit])
  }

  /** Paths in a snapshot, with forward slashes; none where there is no such snapshot. */
  async files(commit: string): Promise<string[]> {
    const names = await readdir(this.snapshot(commit), { recursive: true }).catch(() => [])
    return names.map((name) => name.split(sep).join("/"))
  }

  /** null where the file, or what its link points to, is not there. */
  async find(commit: string, file: string): Promise<CachedFile | null> {
    const path = join(this.snapshot(commit), file)
    const found = await stat(path).catch(() => null)
    if (!found?.isFile()) return null
    const etag = basename(await realpath(path))
    return { path, bytes: found.size, sha256: /^[0-9a-f]{64}$/.test(etag) ? etag : null }
  }

  /** Whether the contents are there, in the right length: in the snapshot, or as a blob of another one. */
  async holds(commit: string, { path, size, etag }: { path: string; size: number; etag: string }): Promise<boolean> {
    const places = [join(this.snapshot(commit), path), this.blob(etag)]
    const sizes = await Promise.all(
      places.map((place) =>
        stat(place)
          .then(({ size }) => size)
          .catch(() => null),
      ),
    )
    return sizes.includes(size)
  }

  /** Puts a file into a snapshot: a relative link, or a copy where the system allows no links (Windows). */
  async link(commit: string, file: string, etag: string): Promise<void> {
    const path = join(this.snapshot(commit), file)
    const target = relative(dirname(path), this.blob(etag))
    if (await stat(path).catch(() => null)) return
    await makeDirectory(dirname(path))
    const temporary = stagingPath(this.blob(etag))
    await removeAbandonedOnce(dirname(temporary))
    try {
      await symlink(target, temporary)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EPERM") throw error
      await copyFile(this.blob(etag), temporary)
    }
    await rename(temporary, path).finally(() => rm(temporary, { force: true }))
  }
}

export function isCommit(text: string): boolean {
  return /^[0-9a-f]{40}$/.test(text)
}
