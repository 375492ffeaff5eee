/**
 * The samples of a tar or plain JSONL shard as the table of an index. A tar sample's bytes begin with the head of its first
 * member; what else lies in them (members of samples that are left out, folders) has another key. A line's bytes begin with the
 * line, and may end with blank ones.
 */
import { UserError } from "../../core/errors.ts"
import { isObject } from "../../core/json.ts"
import type { RandomAccess } from "../../core/random-access.ts"
import type { Problem } from "../reinforced/sample.ts"
import { listingTar, type TarListing } from "../reinforced/tar/read-tar.ts"
import type { TarMember } from "../reinforced/tar/tar-index.ts"

/** A format of indexes: by which rules samples were found. */
export type ShardFormat = "tar" | "jsonl-shard"

export interface ShardTable {
  /** As in an index file. */
  readonly table: Float64Array<ArrayBuffer>
  readonly parts: number
  /** What is wrong with the shard, as it is told whenever it is opened. */
  readonly problems: readonly Problem[]
}

/** In steps, between which others may have their turn. Throws UserError where the file is not a shard of the format, or has no samples. */
export function* tablingShard(file: RandomAccess, format: ShardFormat): Generator<void, ShardTable> {
  if (format === "jsonl-shard") return { table: yield* findingLines(file), parts: 0, problems: [] }
  const problems: Problem[] = []
  const listing = yield* listingTar(file, (problem) => problems.push(problem))
  return { ...tarTable(listing, file.size), problems }
}

/** The facts of an index, checked; null where they are not those of a shard. */
export function problemsOf(facts: unknown): readonly Problem[] | null {
  const problems = isObject(facts) ? facts.problems : null
  return Array.isArray(problems) && problems.every(isProblem) ? problems : null
}

function isProblem(value: unknown): value is Problem {
  if (!isObject(value)) return false
  const { key, reason, action } = value
  return (
    (key === null || typeof key === "string") &&
    typeof reason === "string" &&
    (action === "kept" || action === "dropped")
  )
}

// ---------------------------------------------------------------------------------------------------------- tar

function tarTable({ samples, isScattered }: TarListing, size: number): Pick<ShardTable, "table" | "parts"> {
  const lists = [...samples.values()]
  const isNamed = lists.some((members) => members.some(({ global }) => global !== null))
  return isScattered || isNamed || hasGaps(lists)
    ? partsTable(lists, size)
    : { table: startsTable(lists, size), parts: 0 }
}

/** Bytes between members, of what is left out and of zeros, that are read or gone through with a sample. */
const widestGap = 2 ** 16

function hasGaps(samples: readonly (readonly TarMember[])[]): boolean {
  let last: TarMember | null = null
  for (const members of samples) {
    for (const member of members) {
      if (last !== null && member.start - last.end > widestGap) return true
      last = member
    }
  }
  return false
}

function startsTable(samples: readonly (readonly TarMember[])[], size: number): Float64Array<ArrayBuffer> {
  const table = new Float64Array(samples.length + 1)
  for (const [i, [first]] of samples.entries()) table[i] = first!.start
  // What an archive that was cut has of the last member may be all but the zeros that fill its block.
  table[samples.length] = Math.min(samples.at(-1)?.at(-1)?.end ?? 0, size)
  return table
}

/** Each sample has its members, and before them the header that names them, where one does for the whole archive. */
function partsTable(samples: readonly (readonly TarMember[])[], size: number): Pick<ShardTable, "table" | "parts"> {
  const [ordinals, extents]: [number[], number[]] = [[0], []]
  for (const members of samples) {
    let [end, named] = [-1, -1]
    for (const member of members) {
      const { global, start } = member
      if (global && global.start !== named) extents.push(global.start, global.end)
      if (start === end && (global?.start ?? -1) === named) extents[extents.length - 1] = Math.min(member.end, size)
      else extents.push(start, Math.min(member.end, size))
      ;[end, named] = [member.end, global?.start ?? -1]
    }
    ordinals.push(extents.length / 2)
  }
  return { table: Float64Array.from([...ordinals, ...extents]), parts: extents.length / 2 }
}

// -------------------------------------------------------------------------------------------------------- JSONL

const [newline, carriageReturn, space] = [0x0a, 0x0d, 0x20]

/** Shorter lines cannot hold a sample. Samples of many of them would take much more than the lines. */
const shortestSample = '{"id":1}'.length
const mostShort = 10_000

const pieceBytes = 2 ** 20

/** Where every line begins that has something in it, and where the last one ends. Throws UserError where most are too short. */
function* findingLines(file: RandomAccess): Generator<void, Float64Array<ArrayBuffer>> {
  const starts: number[] = []
  let [start, isBlank, short, lastEnd] = [0, true, 0, 0]
  const end = (at: number) => {
    if (!isBlank) {
      starts.push(start)
      lastEnd = at
      if (at - start < shortestSample && ++short > Math.max(mostShort, starts.length / 2)) {
        throw new UserError(`${file.name}: half of its first ${starts.length} lines are too short for a sample`)
      }
    }
    ;[start, isBlank] = [at + 1, true]
  }
  for (let offset = 0; offset < file.size; offset += pieceBytes) {
    const piece = withLineFeeds(file.read(offset, Math.min(pieceBytes, file.size - offset)))
    for (let i = 0; i < piece.length; ) {
      if (isBlank && piece[i]! <= space && piece[i] !== newline) i++
      else {
        const next = piece.indexOf(newline, i)
        isBlank &&= next === i
        if (next < 0) break
        end(offset + next)
        i = next + 1
      }
    }
    yield
  }
  end(file.size)
  if (starts.length === 0)
    throw new UserError(`${file.name} holds no samples`, "JSON objects were expected, one a line")
  starts.push(lastEnd)
  return Float64Array.from(starts)
}

/** The same bytes, written over: CR ends a line too, and what is between CR and LF is blank. */
function withLineFeeds(bytes: Uint8Array): Uint8Array {
  for (let at = bytes.indexOf(carriageReturn); at >= 0; at = bytes.indexOf(carriageReturn, at + 1)) bytes[at] = newline
  return bytes
}
