/** Where an index keeps small pictures: `thumbnails/ab/<SHA-256>.webp`. */
import { join } from "node:path"

/** @param hash hexadecimal, in any case */
export function thumbnailPath(folder: string, hash: string): string {
  const name = hash.toLowerCase()
  return join(folder, "thumbnails", name.slice(0, 2), `${name}.webp`)
}
