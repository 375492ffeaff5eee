/** What was found in a shard as a file: one line of JSON. */
import { z } from "zod"
import { UserError } from "../../../core/errors.ts"
import { parseJsonText } from "../../../data/json-text.ts"
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
  return Buffer.from(`${JSON.stringify({ samples, problems, hashes: bytes.toString("base64"), chosen })}\n`)
}

/** Throws UserError, naming `url`, where it is not what `encodeCheck` gives. */
export function decodeCheck(file: Uint8Array, url: string): ShardCheck {
  const found = checkSchema.safeParse(parsed(file)).data
  const bytes = Buffer.from(found?.hashes ?? "", "base64")
  if (!found || bytes.length !== 8 * found.samples) throw damagedCheck(url)
  const hashes = Uint32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readUInt32LE(4 * i))
  return { ...found, hashes }
}

export function damagedCheck(url: string): UserError {
  return new UserError(
    `${url} is damaged`,
    "remove it, and the job with `reinforce status --remove`: the same command looks at the shards again then",
  )
}

function parsed(file: Uint8Array): unknown {
  try {
    return parseJsonText(new TextDecoder().decode(file))
  } catch {
    return null
  }
}
