/**
 * Files that list shards: `info.json`, which readers of JSONL sets take their shards from, and `manifest.jsonl` beside
 * tar shards. Counts in info.json are texts, as published.
 */
import { messageOf, UserError } from "../../../core/errors.ts"
import { isObject } from "../../../core/json.ts"

/** Lists beside shards whose names end like those of shards. */
export const shardLikeLists: readonly string[] = ["failures.jsonl", "manifest.jsonl"]

interface DatasetInfo {
  readonly name: string
  /** The number of samples by the shard's path, which is relative to the file. */
  readonly lengths: ReadonlyMap<string, number>
  /** ISO 8601; without it equal runs give equal files. */
  readonly date?: string
}

interface ManifestEntry {
  /** The shard's name without `.tar`. */
  readonly shard: string
  readonly samples: number
}

export function formatInfo({ name, lengths, date }: DatasetInfo): string {
  const total = [...lengths.values()].reduce((sum, count) => sum + count, 0)
  const entries = [...lengths].map(([path, count]) => [path, String(count)])
  const info = { name, lengths: Object.fromEntries(entries), totalLength: String(total), ...(date ? { date } : {}) }
  return `${JSON.stringify(info)}\n`
}

/** Throws UserError where `text` does not list shards; `path` is for the message. */
export function parseInfo(text: string, path: string): DatasetInfo {
  const info = parse(text, path)
  const { name, lengths, date } = isObject(info) ? info : {}
  if (!isObject(lengths)) {
    throw new UserError(
      `${path} lists no shards`,
      'an object with "lengths": {"00000000.jsonl": "1000", ...} was expected',
    )
  }
  const counts = Object.entries(lengths).map(([shard, count]) => [shard, countOf(count, path, shard)] as const)
  const given = typeof date === "string" ? { date } : {}
  return { name: typeof name === "string" ? name : "", lengths: new Map(counts), ...given }
}

/** A line for each shard, sorted by name. */
export function formatManifest(entries: readonly ManifestEntry[]): string {
  const sorted = entries.toSorted((a, b) => (a.shard < b.shard ? -1 : Number(a.shard > b.shard)))
  return sorted.map(({ shard, samples }) => `${JSON.stringify({ shard, num_uids: samples })}\n`).join("")
}

/** Throws UserError naming the line that is damaged. */
export function parseManifest(text: string, path: string): ManifestEntry[] {
  return text.split("\n").flatMap((line, index) => {
    if (line.trim() === "") return []
    const where = `${path}, line ${index + 1}`
    const entry = parse(line, where)
    const { shard, num_uids } = isObject(entry) ? entry : {}
    if (typeof shard !== "string") throw new UserError(`${where} has no "shard"`)
    return [{ shard, samples: countOf(num_uids, where, shard) }]
  })
}

function countOf(value: unknown, path: string, shard: string): number {
  const count = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value
  if (typeof count === "number" && Number.isSafeInteger(count) && count >= 0) return count
  throw new UserError(`${path}: the count of ${JSON.stringify(shard)} is not a number of samples`)
}

function parse(text: string, path: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new UserError(`${path} is not JSON: ${messageOf(error).replaceAll(/\s+/g, " ")}`)
  }
}
