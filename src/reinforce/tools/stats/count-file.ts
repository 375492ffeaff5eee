/** What was counted in a shard as a file. */
import { z } from "zod"
import { decodeFound, encodeFound } from "../look-file.ts"
import type { ShardCounts } from "./count-shard.ts"

function mapOf<K, V>(key: z.ZodType<K>, value: z.ZodType<V>) {
  return z.array(z.tuple([key, value])).transform((entries): ReadonlyMap<K, V> => new Map(entries))
}

const count = z.int().nonnegative()
const counts = mapOf(count, count)
const byName = <V>(value: z.ZodType<V>) => mapOf(z.string(), value)

const countsSchema = z.object({
  samples: count,
  bytes: count,
  members: byName(z.object({ files: count, bytes: count })),
  views: counts,
  captions: byName(z.object({ perSample: counts, tokens: counts, empty: count })),
  pictures: z.object({ formats: byName(count), width: counts, height: counts }),
  embeddings: byName(z.object({ rows: counts, width: counts, dtypes: byName(count) })),
  failures: z.array(z.object({ first: z.string(), times: count })),
  chosen: z.array(z.string()),
}) satisfies z.ZodType<ShardCounts>

export function encodeCounts(counts: ShardCounts): Uint8Array {
  return encodeFound(counts)
}

/** Throws UserError, naming `url`, where it is not what `encodeCounts` gives. */
export function decodeCounts(file: Uint8Array, url: string): ShardCounts {
  return decodeFound(file, countsSchema, url)
}
