/**
 * Pictures of another program's index as files for an intake: those that this index does not have, each with what its file says
 * where that is here, and with the source's vector where it is taken over.
 */
import { createHash } from "node:crypto"
import { stat } from "node:fs/promises"
import { dirname, extname, relative } from "node:path"
import { l2Normalize } from "../../../core/arrays/similarity.ts"
import { asUserError, UserError } from "../../../core/errors.ts"
import { mapOrdered } from "../../../core/parallel.ts"
import { readBytes } from "../../../host/files/files.ts"
import { contentDetails, contentHash, type FailedFile, type FoundFile } from "../../indexing/read-picture.ts"
import { allRoots, type IndexedPart, isWithin, partsOf } from "../../indexing/roots.ts"
import type { IndexStore } from "../../store/index-store.ts"
import type { ContentDetails, NewFile } from "../../store/picture-rows.ts"
import type { ImportedPicture } from "../sources/source.ts"
import { hasDirection, isWebAddress } from "./survey.ts"

export interface PlacedPicture {
  readonly picture: ImportedPicture
  /** As it is here. */
  readonly path: string
}

export interface ImportedFilesOptions {
  /** A folder that becomes one of the index, for pictures outside of those that it has; null: there are none. */
  readonly folder: string | null
  /** The source's vectors are the index's model's. */
  readonly reusesVectors: boolean
  /** Whether the index has these bytes with their vector. */
  has(hash: Uint8Array): boolean
}

/** Files that are read ahead. */
const readAhead = 16

export class ImportedFiles {
  readonly counts = { missing: 0, leftOut: 0 }
  private readonly roots: readonly IndexedPart[]

  /** Throws UserError where the pictures have no folder in common. */
  constructor(
    private readonly store: IndexStore,
    private readonly options: ImportedFilesOptions,
  ) {
    // Before any file is read: folders of the index that lie in it become parts of it.
    if (options.folder !== null) addFolder(store, options.folder)
    this.roots = allRoots(store)
  }

  /** In their order; null: the index has the file, or it is left out. */
  read(pictures: AsyncIterable<PlacedPicture>): AsyncGenerator<FoundFile | FailedFile | null> {
    return mapOrdered(pictures, readAhead, async (placed) => {
      const place = isWebAddress(placed.picture.path) ? null : this.placeOf(placed.path)
      if (place === null) return this.leaveOut()
      return this.has(place) ? null : await this.find(placed, place)
    })
  }

  private leaveOut(): null {
    this.counts.leftOut++
    return null
  }

  /** Null: in none of the folders. */
  private placeOf(path: string): Pick<NewFile, "root" | "path"> | null {
    const root = this.roots.find((each) => isWithin(path, each.path))
    if (root === undefined || path === root.path) return null
    return { root: root.root, path: relative(root.path, path) }
  }

  private has({ root, path }: Pick<NewFile, "root" | "path">): boolean {
    return this.store.row("SELECT id FROM files WHERE root = ? AND path = ?", root, path) !== undefined
  }

  private async find({ picture, path }: PlacedPicture, place: Pick<NewFile, "root" | "path">) {
    const found = await stat(path).catch(() => null)
    const vector = this.vectorOf(picture)
    if (found?.isFile()) {
      const file = { ...place, size: found.size, mtime: found.mtimeMs }
      return await this.readHere(picture, path, file, vector)
    }
    if (vector === null) return this.leaveOut()
    this.counts.missing++
    return unseen(picture, path, place, vector)
  }

  /** Null: its picture is encoded. */
  private vectorOf({ vector }: ImportedPicture): Float32Array | null {
    return this.options.reusesVectors && hasDirection(vector) ? l2Normalize(vector.slice(), vector.length) : null
  }

  private async readHere(picture: ImportedPicture, name: string, file: NewFile, vector: Float32Array | null) {
    try {
      const bytes = await readBytes(name)
      const hash = contentHash(bytes)
      const content = this.options.has(hash) ? null : withFacts(await contentDetails(bytes, name, hash), picture)
      return { name, file, hash, bytes: vector ? new Uint8Array(0) : bytes, content, vector }
    } catch (error) {
      return { name, file, error: asUserError(error) }
    }
  }
}

function addFolder(store: IndexStore, folder: string): void {
  if (dirname(folder) !== folder) {
    partsOf(store, [folder])
    return
  }
  throw new UserError(
    `the pictures have no folder in common but ${folder}`,
    "name the one that they are below here, and map others into it: --root DIR --map FROM=TO",
  )
}

/** What people wrote in another program comes before what is in the file, and beside it. */
function withFacts(
  own: ContentDetails,
  { caption, taken, camera, latitude, longitude }: ImportedPicture,
): ContentDetails {
  return {
    ...own,
    ...{ caption: caption ?? own.caption, taken: own.taken ?? taken ?? null, camera: own.camera ?? camera ?? null },
    ...{ latitude: latitude ?? own.latitude, longitude: longitude ?? own.longitude },
  }
}

/**
 * A picture whose file is not here has the hash of its path and no size, so that the first file that appears in its place is a
 * changed one, which the next `index` run reads.
 */
function unseen(
  picture: ImportedPicture,
  path: string,
  place: Pick<NewFile, "root" | "path">,
  vector: Float32Array,
): FoundFile {
  const hash = createHash("sha256").update("mobileclip: a file that is not here\0").update(path).digest()
  const nothing: ContentDetails = {
    ...{ hash, bytes: 0, format: extname(path).slice(1).toLowerCase(), orientation: 1, width: 0, height: 0 },
    ...{ taken: null, camera: null, lens: null, latitude: null, longitude: null, caption: null },
    ...{ keywords: [], sharpness: null },
  }
  const file = { ...place, size: 0, mtime: 0 }
  return { name: path, file, hash, bytes: new Uint8Array(0), content: withFacts(nothing, picture), vector }
}
