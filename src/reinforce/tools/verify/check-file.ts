/** What a check found in a shard as a file. */
import { z } from "zod"
import { damaged, decodeFound, encodeFound } from "../look-file.ts"
import type { ShardCheck } from "./check-shard.ts"

const checkSchema = z.object({
  samples: z.int().nonnegative(),
  problems: z.array(z.object({ at: z.int().nonnegative(), key: z.string().nullable(), reason: z.string() })),
  /** Two halves of 32 bits for each sample, least significant byte first. */
  hashes: z.base64(),
  chosen: z.array(z.string()),
})

export function encodeCheck({ samples, problems, hashes, chosen }: ShardCheck): Uint8Array {
  const bytes = Buffer.alloc(4 * hashes.length)
  hashes.forEach((half, i) => {
    bytes.writeUInt32LE(half, 4 * i)
  })
  return encodeFound({ samples, problems, hashes: bytes.toString("base64"), chosen })
}

/** Throws UserError, naming `url`, where it is not what `encodeCheck` gives. */
export function decodeCheck(file: Uint8Array, url: string): ShardCheck {
  const found = decodeFound(file, checkSchema, url)
  const bytes = Buffer.from(found.hashes, "base64")
  if (bytes.length !== 8 * found.samples) throw damaged(url)
  const hashes = Uint32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readUInt32LE(4 * i))
  return { ...found, hashes }
}
