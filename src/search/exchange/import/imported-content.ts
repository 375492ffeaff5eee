/** What the index keeps of an imported picture: read from its file where that is here, else from the source alone. */
import { createHash } from "node:crypto"
import { stat } from "node:fs/promises"
import { extname } from "node:path"
import { readBytes } from "../../../host/files/files.ts"
import { contentDetails } from "../../indexing/content-details.ts"
import type { ContentDetails } from "../../store/index-writer.ts"
import type { ImportedPicture } from "../sources/source.ts"

export interface ImportedContent {
  readonly content: ContentDetails
  readonly size: number
  /** Milliseconds. */
  readonly mtime: number
  readonly isHere: boolean
}

/**
 * A picture whose file is not here has the hash of its path and no size, so that the first file that appears in its place is a
 * changed one, which the next `index` run reads. Throws UserError where a file is here and is not a picture.
 *
 * @param path as it is here
 */
export async function importedContent(path: string, picture: ImportedPicture): Promise<ImportedContent> {
  const found = await stat(path).catch(() => null)
  if (!found?.isFile()) return { content: unseen(path, picture), size: 0, mtime: 0, isHere: false }
  const own = await contentDetails(await readBytes(path), path)
  const facts = factsOf(picture)
  // What people wrote in another program comes before what is in the file.
  const content = {
    ...own,
    ...{ caption: facts.caption ?? own.caption, taken: own.taken ?? facts.taken, camera: own.camera ?? facts.camera },
    ...{ latitude: facts.latitude ?? own.latitude, longitude: facts.longitude ?? own.longitude },
  }
  return { content, size: found.size, mtime: found.mtimeMs, isHere: true }
}

function unseen(path: string, picture: ImportedPicture): ContentDetails {
  const hash = createHash("sha256").update("mobileclip: a file that is not here\0").update(path).digest()
  const format = extname(path).slice(1).toLowerCase()
  return { hash, bytes: 0, format, orientation: 1, width: 0, height: 0, ...factsOf(picture) }
}

function factsOf({ taken, camera, latitude, longitude, caption }: ImportedPicture) {
  return {
    ...{ taken: taken ?? null, camera: camera ?? null, latitude: latitude ?? null, longitude: longitude ?? null },
    ...{ caption: caption ?? null, lens: null, keywords: [], sharpness: null },
  }
}
