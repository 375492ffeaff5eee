/**
 * What an index keeps of a picture's file: the hash of its bytes, the size as it is seen, and what the file and those beside it
 * say about the picture.
 */
import { createHash } from "node:crypto"
import type { UserError } from "../../core/errors.ts"
import { captionBeside } from "../../host/image/caption-beside.ts"
import { pictureFormat } from "../../host/image/picture-format.ts"
import { readPictureMetadata } from "../../host/image/picture-metadata.ts"
import { pictureSize } from "../../host/image/picture-size.ts"
import type { ContentDetails, NewFile, SaidDetails } from "../store/picture-rows.ts"

/** What a source has read of a file. */
export interface FoundFile {
  /** Its absolute path. */
  readonly name: string
  readonly file: NewFile
  readonly hash: Uint8Array
  /** To be encoded; empty where they are not; null: the file is read again for that. */
  readonly bytes: Uint8Array | null
  /** Null where `PictureIntake.has` the bytes. */
  readonly content: ContentDetails | null
  /** A file that the index has: its content gets these details. */
  readonly isDescribedAgain?: boolean
  /** A unit vector by the model of the index; null: the picture is encoded. */
  readonly vector: Float32Array | null
}

export interface FailedFile {
  readonly name: string
  readonly file: NewFile
  readonly error: UserError
}

/** Null: a file that is passed over. */
export type IntakeSource = AsyncIterable<FoundFile | FailedFile | null>

export function contentHash(bytes: Uint8Array): Uint8Array {
  return createHash("sha256").update(bytes).digest()
}

/**
 * @param path of the file, for messages and for files beside it
 * @param isThere whether there may be a file of this name beside it; absent: each is looked for
 * @throws UserError where the bytes are not a picture
 */
export async function contentDetails(
  bytes: Uint8Array,
  path: string,
  hash: Uint8Array,
  isThere?: (path: string) => boolean,
): Promise<ContentDetails> {
  const { width, height } = await pictureSize(bytes, path)
  const format = pictureFormat(bytes)
  const own = await readPictureMetadata(bytes, format)
  const { orientation, camera, lens } = own
  const [seenWidth, seenHeight] = orientation > 4 ? [height, width] : [width, height]
  return {
    ...{ hash, bytes: bytes.length, format: format ?? "", width: seenWidth, height: seenHeight },
    ...{ orientation, camera, lens, sharpness: null },
    ...joined(own, await captionBeside(path, isThere)),
  }
}

type Metadata = Awaited<ReturnType<typeof readPictureMetadata>>

/** A caption that somebody wrote beside a picture comes first; time and place are the camera's, where it noted them. */
function joined(own: Metadata, beside: Metadata | null): SaidDetails {
  const place = own.latitude === null && beside !== null ? beside : own
  return {
    taken: (own.taken ?? beside?.taken)?.text ?? null,
    ...{ latitude: place.latitude, longitude: place.longitude },
    caption: beside?.caption ?? own.caption,
    keywords: [...new Set([...own.keywords, ...(beside?.keywords ?? [])])],
  }
}
