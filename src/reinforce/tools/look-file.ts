/** What was found in a shard as a file: one line of JSON. */
import type { z } from "zod"
import { UserError } from "../../core/errors.ts"
import { parseJsonText } from "../../data/json-text.ts"

/** A map is written as a list of its entries. */
export function encodeFound(found: object): Uint8Array {
  return Buffer.from(`${JSON.stringify(found, (_, value) => (value instanceof Map ? [...value] : value))}\n`)
}

/** Throws UserError, naming `url`, where it is not of the schema. */
export function decodeFound<T>(file: Uint8Array, schema: z.ZodType<T>, url: string): T {
  const { data } = schema.safeParse(parsed(file))
  if (data !== undefined) return data
  throw damaged(url)
}

export function damaged(url: string): UserError {
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
