/** Samples of a tar shard, and what is wrong with the others. */

import { isInputError, oneLine } from "../../../core/errors.ts"
import type { RandomAccess } from "../../../core/random-access.ts"
import { inTurns, TurnClock } from "../../../host/turns.ts"
import { type Problem, pictureExtensions, type ReinforcedSample } from "../sample.ts"
import { checkSampleSize } from "../sample-budget.ts"
import { memberExtensions, sampleOfMembers } from "./members.ts"
import { indexingTar, type TarIndex, type TarMember } from "./tar-index.ts"

type Report = (problem: Problem) => void

/** Complete samples in the order of their first members. Throws UserError where the file is not a tar archive. */
export async function* readTar(source: RandomAccess, report: Report): AsyncGenerator<ReinforcedSample> {
  const { samples } = await inTurns(listingTar(source, report))
  for (const [key, members] of samples) yield* readSample(source, key, members, report)
}

/** What is left of an archive when all that is wrong with it was reported. */
export interface TarListing {
  /** The members of complete samples by key, each extension once. */
  readonly samples: ReadonlyMap<string, readonly TarMember[]>
  /** Whether members of a sample, or of one that was left out, do not lie side by side. */
  readonly isScattered: boolean
}

/** In steps, between which others may have their turn. Throws UserError where the file is not a tar archive. */
export function* listingTar(source: RandomAccess, report: Report): Generator<void, TarListing> {
  const index = yield* indexingTar(source)
  const cut = reportDamage(source, index, report)
  reportScattered(index, report)
  const samples = new Map<string, readonly TarMember[]>()
  const clock = new TurnClock()
  for (const [key, all] of index.samples) {
    if (clock.isOver()) yield
    if (key === cut) continue
    const dotted = dottedKeys(key, all)
    if (dotted.length > 0) for (const name of dotted) report(hasDot(name, key))
    else samples.set(key, firstOfEach(key, all, report))
  }
  return { samples, isScattered: index.scattered.length > 0 }
}

async function* readSample(
  source: RandomAccess,
  key: string,
  members: readonly TarMember[],
  report: Report,
): AsyncGenerator<ReinforcedSample> {
  try {
    const kept = (reason: string) => report({ key, reason: oneLine(reason, 400), action: "kept" })
    yield await sampleOfMembers(key, readMembers(source, members), kept)
  } catch (error) {
    if (!isInputError(error)) throw error
    report({ key, reason: oneLine(error.message, 400), action: "dropped" })
  }
}

function readMembers(source: RandomAccess, members: readonly TarMember[]): Map<string, Uint8Array> {
  checkSampleSize(members.map(({ size }) => size))
  return new Map(members.map(({ extension, offset, size }) => [extension, source.read(offset, size)]))
}

function firstOfEach(key: string, all: readonly TarMember[], report: Report): TarMember[] {
  const members = new Map<string, TarMember>()
  const again: string[] = []
  for (const member of all) {
    if (members.has(member.extension)) again.push(member.name)
    else members.set(member.extension, member)
  }
  if (again.length > 0) {
    const reason = `the key occurs twice: ${oneLine(again.join(", "), 200)} came before; the first one stays`
    report({ key, reason, action: "dropped" })
  }
  return [...members.values()]
}

// ------------------------------------------------------------------------------------------------- broken shards

/** Reports where the archive breaks off -> the key of the sample that is cut, if one is. */
function reportDamage(source: RandomAccess, { samples, damage }: TarIndex, report: Report): string | null {
  if (damage === null) return null
  const cut = cutMember(source, samples) ?? incompleteSample(samples)
  if (cut) report({ key: cut.key, reason: `the archive is cut short: ${cut.what}`, action: "dropped" })
  const reason = `the archive is cut short or damaged after sample ${[...samples.keys()].at(-1)} (${damage})`
  if (!cut) report({ key: null, reason: oneLine(reason, 400), action: "dropped" })
  return cut?.key ?? null
}

interface Cut {
  readonly key: string
  readonly what: string
}

function cutMember(source: RandomAccess, samples: TarIndex["samples"]): Cut | null {
  const cut = [...samples.values()].flat().find(({ offset, size }) => offset + size > source.size)
  if (!cut) return null
  return { key: cut.key, what: `${oneLine(cut.name)} has ${source.size - cut.offset} of ${cut.size} bytes` }
}

/** The last sample counts as complete where it has the same members as the one before it. */
function incompleteSample(samples: TarIndex["samples"]): Cut | null {
  const [before, last] = [...samples].slice(-2)
  if (!before || !last) return null
  const found = new Set(last[1].map(({ extension }) => extension))
  const missing = new Set(before[1].map(({ extension }) => extension).filter((extension) => !found.has(extension)))
  if (missing.size === 0) return null
  return { key: last[0], what: `${oneLine([...missing].join(", "))} would follow, as in the sample before` }
}

function reportScattered({ scattered, samples }: TarIndex, report: Report): void {
  if (scattered.length === 0) return
  const which = `${scattered.length} of ${samples.size} samples (first: ${oneLine(scattered[0]!)})`
  report({ key: null, reason: `members of ${which} do not lie side by side; they were put together`, action: "kept" })
}

// ------------------------------------------------------------------------------------------------ keys with dots

/** The intended keys, where all members of what looks like one sample come from files with a dot in their names. */
function dottedKeys(key: string, members: readonly TarMember[]): string[] {
  const known = new Set([...pictureExtensions, ...memberExtensions])
  if (members.some(({ extension }) => known.has(extension))) return []
  const prefixes = members.flatMap(({ extension }) => {
    const dot = extension.lastIndexOf(".")
    return pictureExtensions.includes(extension.slice(dot + 1)) ? [extension.slice(0, dot)] : []
  })
  return [...new Set(prefixes)].map((prefix) => `${key}.${prefix}`)
}

function hasDot(name: string, key: string): Problem {
  const better = name.replaceAll(/(?<!^|\/)\./g, "_")
  const reason = `the key has a dot, and a key ends at the first dot: it would be read as a part of ${JSON.stringify(oneLine(key))}`
  return { key: name, reason: `${reason}; rename its files to ${oneLine(better)}.*`, action: "dropped" }
}
