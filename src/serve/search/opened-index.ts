/** An index as visitors of a server see it: searched, described and looked at, without a path of this machine. */
import { existsSync } from "node:fs"
import { basename, isAbsolute } from "node:path"
import { UserError } from "../../core/errors.ts"
import { readBytes } from "../../host/files/files.ts"
import { thumbnail } from "../../host/image/thumbnail.ts"
import { thumbnailSide } from "../../search/indexing/thumbnails.ts"
import { locate } from "../../search/migrate/locate.ts"
import { describeIndex } from "../../search/query/describe.ts"
import { FollowedIndex } from "../../search/query/followed-index.ts"
import { dataVersion } from "../../search/query/rows/data-version.ts"
import type { SearchHit, SearchPage } from "../../search/query/search-page.ts"
import { SearchIndex } from "../../search/search-index.ts"
import type { IndexStore } from "../../search/store/index-store.ts"
import { thumbnailPath } from "../../search/store/thumbnail-path.ts"
import { RequestError } from "../http/errors.ts"
import type {
  PublicDescription,
  PublicHit,
  PublicPage,
  ServedIndexSettings,
  ThumbnailFile,
  VisitorQuery,
} from "./index-work.ts"
import { pictureId, pictureOfId } from "./picture-id.ts"
import { PublicNames } from "./public-names.ts"
import { sealText } from "./sealed-text.ts"
import { requestOf, requirePicture } from "./visitor-request.ts"

/** An index whose rows get other numbers more often than a search takes is a fault. */
const mostTries = 5

export class OpenedIndex implements AsyncDisposable {
  private described: { store: IndexStore; version: number; description: PublicDescription } | null = null

  private constructor(
    private readonly index: SearchIndex,
    private readonly followed: FollowedIndex,
    private readonly settings: ServedIndexSettings,
  ) {}

  /** Opens no model yet. Throws UserError where there is no index, it is damaged or of a newer version. */
  static async open(settings: ServedIndexSettings): Promise<OpenedIndex> {
    const { folder, threads } = settings
    const index = await SearchIndex.open(folder, { threads })
    return new OpenedIndex(index, new FollowedIndex(index.folder, {}), settings)
  }

  /** Opens the text tower. Throws UserError where it cannot be opened. */
  warm(): Promise<void> {
    return this.index.warm()
  }

  /** Throws RequestError for what cannot be asked; UserError where the index or its model fails; the signal's reason. */
  async search(asked: VisitorQuery, signal?: AbortSignal): Promise<PublicPage> {
    if (asked.image) await requirePicture(asked.image, this.settings.maxPixels)
    for (let tries = 0; tries < mostTries; tries++) {
      const store = this.followed.database()
      const before = stateOf(store)
      const names = PublicNames.of(store)
      const { request, text } = requestOf(asked, { ...this.settings, store, names })
      const page = await this.index.search({ ...request, signal })
      if (this.followed.database() !== store) continue
      const hits = store.reading(() => (stateOf(store) === before ? publicHits(store, page.hits, names) : null))
      if (hits) return this.publicPage(page, text, hits)
    }
    throw new RequestError("unavailable", "the index is changed all the time; ask again when that has ended")
  }

  /**
   * A JPEG file, or the WebP file that the index keeps. Throws RequestError where there is no picture to look at.
   *
   * @param side of the longer one, in pixels
   */
  async thumbnail(id: string, side: number): Promise<ThumbnailFile> {
    const { store, row, hash } = this.picture(id)
    const kept = thumbnailPath(store.folder, Buffer.from(hash).toString("hex"))
    try {
      if (side <= thumbnailSide && existsSync(kept)) return await smallerOf(kept, side)
      const found = await locate(store, row)
      if (found && "path" in found) return await made(found.path, side, this.settings.maxPixels)
    } catch (error) {
      if (!(error instanceof UserError)) throw error
    }
    throw new RequestError("notFound", "the file of this picture is gone, has changed, or cannot be read", "id")
  }

  /** Throws RequestError where the index does not have it. */
  requirePicture(id: string): void {
    this.picture(id)
  }

  describe(): PublicDescription {
    const store = this.followed.database()
    const version = dataVersion(store)
    if (this.described?.store !== store || this.described.version !== version)
      this.described = { store, version, description: publicDescription(store) }
    return this.described.description
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.index.dispose(), this.followed[Symbol.asyncDispose]()])
  }

  private picture(id: string) {
    const store = this.followed.database()
    return { store, ...pictureOfId(store, id, "id") }
  }

  private publicPage({ matches, cursor, searched, notes }: SearchPage, query: string, hits: PublicHit[]): PublicPage {
    const sealed = cursor === null ? null : sealText(this.settings.cursorKey, cursor)
    return { query, hits, matches, cursor: sealed, searched, notes: notes.filter(isPathFree) }
  }
}

/** Within one transaction: rows of the same generation have the same numbers. */
function stateOf(store: IndexStore): string {
  const { id, created } = store.active()
  return `${id} ${created}`
}

/** Within a transaction; null where rows have other numbers by now. */
function publicHits(store: IndexStore, hits: readonly SearchHit[], names: PublicNames): PublicHit[] | null {
  const ids = JSON.stringify(hits.map(({ position }) => position + 1))
  const rows = store.rows("SELECT id, hash FROM contents WHERE id IN (SELECT value FROM json_each(?))", ids)
  const hashes = new Map(rows.map(({ id, hash }) => [Number(id) - 1, hash as Uint8Array]))
  if (hits.some(({ position }) => !hashes.has(position))) return null
  return hits.map(({ position, paths, score, cosine, z, verdict, words, width, height, taken, caption }) => ({
    ...{ id: pictureId(store, hashes.get(position)!), name: names.nameOf(paths[0]!) },
    ...{ score, cosine, z, verdict, words, width, height, taken, caption },
  }))
}

async function smallerOf(kept: string, side: number): Promise<ThumbnailFile> {
  if (side < thumbnailSide) return made(kept, side)
  return { kind: "thumbnail", bytes: await readBytes(kept), type: "image/webp" }
}

async function made(path: string, side: number, maxPixels?: number): Promise<ThumbnailFile> {
  const bytes = await thumbnail(path, { side, ...(maxPixels !== undefined && { maxPixels }) })
  return { kind: "thumbnail", bytes, type: "image/jpeg" }
}

function publicDescription(store: IndexStore): PublicDescription {
  // Each by its name: what a description may get later is not for visitors by itself.
  const { roots, failures, model, pictures, files, dim, taken, cameras, formats } = describeIndex(store)
  return {
    ...{ pictures, files, dim, taken, cameras, formats },
    ...{ folders: new PublicNames(roots).folders, failures: failures.count },
    model: isAbsolute(model) ? basename(model) : model,
  }
}

/** Messages of the index may name a place of this machine, which has a separator. */
export function isPathFree(text: string): boolean {
  return !/[\\/]/.test(text)
}
