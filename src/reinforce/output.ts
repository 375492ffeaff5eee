/** Where a shard may be written: inside of its job's output, as a shard. */
import { quoted, UserError } from "../core/errors.ts"
import { requireInside } from "../core/inside.ts"
import { joinUrl } from "./plan.ts"

/** What else lies there, beside the shards: the ledger and the files that say what came out. */
const reserved = /^(_done\/|(config|info|checkpoint)\.json$|(manifest|failures)\.jsonl$)/i

/**
 * Whoever may publish tasks names outputs: they are checked before anything is written or removed.
 *
 * @param output URL of a shard
 * @param folder URL of the job's output
 * @throws UserError where the output could be outside of the folder, or a file that is not a shard
 */
export function requireOutput(output: string, folder: string): void {
  const begin = joinUrl(folder, "")
  if (!output.startsWith(begin)) {
    throw new UserError(`the output ${quoted(output)} is not inside of ${quoted(folder)}, the job's output`)
  }
  const name = requireInside(output.slice(begin.length), "the task")
  // Stores decode what is written in percents.
  requireInside(decoded(name), "the task")
  if (reserved.test(name))
    throw new UserError(`the output ${quoted(output)} is not a shard's: the job keeps its record there`)
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name)
  } catch {
    return name
  }
}
