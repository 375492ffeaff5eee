/**
 * What clients call a picture of an index: its bytes' hash after a mark of the index. It stays while the index grows, is compacted
 * or is migrated, and that of another index is known by its mark.
 */
import { createHash } from "node:crypto"
import { type Stats, statSync } from "node:fs"
import { join } from "node:path"
import { databaseFile, type IndexStore } from "../../search/store/index-store.ts"
import { RequestError } from "../http/errors.ts"

const [markBytes, hashBytes] = [6, 32]

/** @param hash SHA-256 of the picture's file */
export function pictureId(store: IndexStore, hash: Uint8Array): string {
  return Buffer.concat([markOf(store), hash]).toString("base64url")
}

/** The row of a picture, and its hash. Throws RequestError for what is not an id, one of another index, or of a picture that went. */
export function pictureOfId(store: IndexStore, id: string, parameter: string): { row: number; hash: Uint8Array } {
  const bytes = Buffer.from(id, "base64url")
  if (bytes.length !== markBytes + hashBytes || bytes.toString("base64url") !== id)
    throw new RequestError("invalid", `${parameter} is not an id of a picture: give one as results have it`, parameter)
  if (!bytes.subarray(0, markBytes).equals(markOf(store)))
    throw new RequestError(
      "notFound",
      `${parameter} is of another index than this server has now: search again`,
      parameter,
    )
  const hash = bytes.subarray(markBytes)
  const found = store.row("SELECT id FROM contents WHERE hash = ? AND copies > 0", hash)
  if (!found) throw new RequestError("notFound", "the picture is not in the index any more: search again", parameter)
  return { row: Number(found.id) - 1, hash }
}

/** A mark of the database's file: another index in the same folder has another. */
function markOf({ folder }: IndexStore): Buffer {
  const { dev, ino }: Stats = statSync(join(folder, databaseFile))
  return createHash("sha256").update(`picture ${dev} ${ino}`).digest().subarray(0, markBytes)
}
