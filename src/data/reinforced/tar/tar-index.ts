/**
 * What a tar shard holds and where, found in one pass over its heads. So members of a sample that are not side by side
 * are put together, and what is left of a broken archive is known before anything is read.
 */
import { EnvironmentError, messageOf, oneLine, UserError } from "../../../core/errors.ts"
import type { RandomAccess } from "../../../core/random-access.ts"
import { inTurns, TurnClock } from "../../../host/turns.ts"
import { splitName } from "./tar-head.ts"
import { type TarEntry, TarWalk } from "./tar-walk.ts"

export interface TarMember extends Pick<TarEntry, "name" | "size" | "start" | "offset" | "end" | "global"> {
  readonly key: string
  readonly extension: string
}

export interface TarIndex {
  /** Members by key, in the archive's order. */
  readonly samples: ReadonlyMap<string, readonly TarMember[]>
  /** Keys whose members are not side by side. */
  readonly scattered: readonly string[]
  /** Why the archive ends before its end mark; null where it is complete. */
  readonly damage: string | null
}

/** Throws UserError where the file is not a tar archive, or has no samples. */
export async function indexTar(source: RandomAccess): Promise<TarIndex> {
  return inTurns(indexingTar(source))
}

/** The same, step by step: the event loop may have its turn in between. */
export function* indexingTar(source: RandomAccess): Generator<void, TarIndex> {
  const samples = new Map<string, TarMember[]>()
  const scattered = new Set<string>()
  const extensions = new Map<string, string>()
  let [last, members]: [string | null, TarMember[]] = [null, []]
  const damage = yield* walking(source, (entry, { key, extension }) => {
    if (key !== last) {
      const known = samples.get(key)
      if (known) scattered.add(key)
      else samples.set(key, [])
      ;[last, members] = [key, known ?? samples.get(key)!]
    }
    members.push(memberOf(entry, last, shared(extensions, extension)))
  })
  if (samples.size === 0) throw noSamples(source, damage)
  return { samples, scattered: [...scattered], damage: damage ?? missingEnd(source) }
}

/** Returns why reading stopped, or null. */
function* walking(
  source: RandomAccess,
  found: (entry: TarEntry, parts: MemberName) => void,
): Generator<void, string | null> {
  const clock = new TurnClock()
  try {
    for (const entry of new TarWalk(source).steps()) {
      const parts = entry && splitName(entry)
      if (parts) found(entry, parts)
      if (clock.isOver()) yield
    }
    return null
  } catch (error) {
    if (error instanceof EnvironmentError) throw error
    return oneLine(messageOf(error))
  }
}

type MemberName = Pick<TarMember, "key" | "extension">

/** All members of a sample share their key's text, and all samples their extensions' texts: memory is what takes longest. */
function memberOf({ name, size, start, offset, end, global }: TarEntry, key: string, extension: string): TarMember {
  return { name, key, extension, size, start, offset, end, global }
}

function shared(texts: Map<string, string>, text: string): string {
  const known = texts.get(text)
  if (known === undefined && texts.size < mostExtensions) texts.set(text, text)
  return known ?? text
}

/** A shard has ten or so; one with millions has each only once. */
const mostExtensions = 1000

function noSamples({ name }: RandomAccess, damage: string | null): UserError {
  if (damage === null) {
    return new UserError(`${name} holds no samples`, "files such as 0001.jpg and 0001.txt were expected")
  }
  return new UserError(`${name} is not a readable tar archive (${damage})`, "get or write the shard again")
}

/** An archive ends with blocks of zeros, so one that was cut between two members does not. */
function missingEnd(source: RandomAccess): string | null {
  const block = Math.min(512, source.size)
  const isZero = source.read(source.size - block, block).every((byte) => byte === 0)
  return isZero ? null : "it has no end mark"
}
