/**
 * The index of a list: found beside it or in the cache, else made by a pass. One process makes it, and others that ask for it
 * meanwhile wait. Where the cache cannot be written, and for small lists, it is in memory.
 */
import { dirname, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { concatenateDoubles } from "../../../../core/arrays/concatenate.ts"
import { isInputError, messageOf, oneLine, UserError } from "../../../../core/errors.ts"
import { isObject } from "../../../../core/json.ts"
import { InUseError, type Lock, lockPath } from "../../../../host/locks/lock.ts"
import { type SampleIndex, sampleIndexOf, type TablePieces } from "../../../sample-index/index-file.ts"
import {
  findSampleIndex,
  indexInCache,
  keepSampleIndex,
  trimIndexCache,
  writeIndexBeside,
} from "../../../sample-index/index-places.ts"
import { type DigestBeginning, type ListFacts, ListPass } from "./list-pass.ts"
import { isOfWindows, ListRows } from "./list-rows.ts"
import type { ListSource } from "./list-source.ts"
import type { ListKind } from "./row-format.ts"

export interface ListIndex {
  readonly index: SampleIndex
  readonly facts: ListFacts
  /** Why it is not kept. */
  readonly notes: readonly string[]
}

/**
 * The index, which the caller closes. Throws UserError naming a row that is damaged, and the reason of the source's signal.
 *
 * @param beginning of the digest that the facts are to have; null: any or none
 */
export async function findOrMakeIndex(
  source: ListSource,
  kind: ListKind,
  beginning: DigestBeginning | null,
): Promise<ListIndex> {
  if (source.isInMemory) return makeInMemory(source, kind, beginning)
  for (let waits = 0; ; waits++) {
    source.signal?.throwIfAborted()
    const found = find(source, kind, beginning)
    if (found) return found
    const lock = await tryLock(source, kind)
    if (lock instanceof InUseError && waits < mostWaits) await sleep(waitMilliseconds)
    else if (lock instanceof Error) return makeInMemory(source, kind, beginning, messageOf(lock))
    else {
      using _ = lock
      return find(source, kind, beginning) ?? (await make(source, kind, beginning))
    }
  }
}

/** Ten minutes: a list of a thousand million rows takes as long. */
const [waitMilliseconds, mostWaits] = [100, 6000]

/** Writes it beside the list, with the digest. Throws UserError where that cannot be. */
export async function writeListIndex(source: ListSource, kind: ListKind, beginning: DigestBeginning): Promise<void> {
  const pass = new ListPass(source, kind, beginning)
  await writeIndexBeside(source.path, contentOf(source, kind, pass, pass.starts()))
}

/** Changes with what the facts mean, and with how rows are found. */
const version = 1

function formatOf(kind: ListKind): string {
  return `list ${version} ${kind.name}`
}

function find(source: ListSource, kind: ListKind, beginning: DigestBeginning | null): ListIndex | null {
  const fits = (index: SampleIndex) => {
    const facts = factsOf(index, source, kind)
    return facts !== null && (beginning === null || facts.digest?.text === beginning.text)
  }
  const index = findSampleIndex(source.path, formatOf(kind), source.stamp, fits)
  return index && { index, facts: index.facts as ListFacts, notes: [] }
}

/** Null where the index does not fit: the list was moved, or its pictures were, or it is not what was written. */
function factsOf(index: SampleIndex, source: ListSource, kind: ListKind): ListFacts | null {
  const { facts } = index
  if (!isFacts(facts) || facts.encoding !== source.encoding || facts.folder !== resolve(dirname(source.path)))
    return null
  try {
    const rows = new ListRows(source, kind, index, facts)
    return isOfWindows(source.path, rows) === facts.isWindows ? facts : null
  } catch (error) {
    if (isInputError(error)) return null
    throw error
  }
}

function isFacts(value: unknown): value is ListFacts {
  if (!isObject(value)) return false
  const { encoding, folder, isWindows, common, digest } = value
  const isDigest = digest === null || (isObject(digest) && isText(digest.text) && isText(digest.hex))
  return [encoding, folder, common].every(isText) && typeof isWindows === "boolean" && isDigest
}

function isText(value: unknown): value is string {
  return typeof value === "string"
}

/** The lock; an InUseError where another process makes the index, and another error where the cache cannot be used. */
async function tryLock({ path }: ListSource, kind: ListKind): Promise<Lock | Error> {
  try {
    return await lockPath(indexInCache(path, formatOf(kind)), "mobileclip, which reads a list")
  } catch (error) {
    if (error instanceof UserError) return error
    throw error
  }
}

async function make(source: ListSource, kind: ListKind, beginning: DigestBeginning | null): Promise<ListIndex> {
  const pass = new ListPass(source, kind, beginning)
  const problem = await keep(source, kind, pass)
  const made = find(source, kind, beginning)
  return made ?? makeInMemory(source, kind, beginning, problem ?? "it was removed at once")
}

/** Why it cannot be kept, or null. Errors of the pass are thrown. */
async function keep(source: ListSource, kind: ListKind, pass: ListPass): Promise<string | null> {
  let failure: { readonly error: unknown } | null = null
  const table = async function* () {
    try {
      yield* pass.starts()
    } catch (error) {
      failure = { error }
      throw error
    }
  }
  const problem = await keepSampleIndex(source.path, contentOf(source, kind, pass, table()))
  if (failure) throw (failure as { error: unknown }).error
  await trimIndexCache()
  return problem
}

function contentOf({ stamp }: ListSource, kind: ListKind, pass: ListPass, table: TablePieces) {
  return { format: formatOf(kind), stamp, table, facts: () => pass.facts() }
}

/** @param problem why no file is made of it; undefined: none is needed */
async function makeInMemory(
  source: ListSource,
  kind: ListKind,
  beginning: DigestBeginning | null,
  problem?: string,
): Promise<ListIndex> {
  const pass = new ListPass(source, kind, beginning)
  const pieces: Float64Array[] = []
  for await (const piece of pass.starts()) pieces.push(piece)
  const facts = pass.facts()
  const head = { format: formatOf(kind), file: source.stamp, facts }
  const index = sampleIndexOf(`the index of ${source.path}`, concatenateDoubles(pieces), head)
  const note = `${source.path}: its index is not kept, so that it is read as a whole at each start (${oneLine(problem ?? "", 300)})`
  return { index, facts, notes: problem === undefined ? [] : [note] }
}
