/** Entries that take turns, round after round, in an order that changes: a machine that becomes slower does so for all alike. */
import { median } from "../../src/core/arrays/quantile.ts"
import { l2Normalize } from "../../src/core/arrays/similarity.ts"
import type { Batch } from "./library.ts"
import type { LibraryName } from "./open-library.ts"
import type { Participant, Task } from "./participant.ts"

/** One way of using one library. */
export interface Contender {
  readonly library: LibraryName
  readonly batch: Batch
}

export interface Entry extends Contender {
  /** Milliseconds of an input: the median of the rounds. */
  readonly milliseconds: number
  /** The same of each round. */
  readonly rounds: readonly number[]
  readonly perSecond: number
}

export interface Measured {
  readonly entries: readonly Entry[]
  /** Unit vectors of each entry. */
  readonly vectors: ReadonlyMap<Entry, Float32Array>
}

/** The first round warms up, gives the vectors and is not counted. */
export async function takeRounds(
  contenders: readonly Contender[],
  participants: ReadonlyMap<LibraryName, Participant>,
  inputs: Omit<Task, "batch">,
  rounds: number,
): Promise<Measured> {
  const run = ({ library, batch }: Contender) => participants.get(library)!.run({ ...inputs, batch })
  const first = new Map<Contender, Float32Array>()
  for (const contender of contenders) first.set(contender, (await run(contender)).vectors)
  const times = new Map(contenders.map((contender) => [contender, [] as number[]]))
  for (let round = 0; round < rounds; round++) {
    for (const contender of round % 2 === 0 ? contenders : contenders.toReversed()) {
      times.get(contender)!.push((await run(contender)).milliseconds / inputs.inputs.length)
    }
  }
  const vectors = new Map(
    contenders.map((contender) => [entryOf(contender, times.get(contender)!), first.get(contender)!]),
  )
  return { entries: [...vectors.keys()], vectors }
}

function entryOf({ library, batch }: Contender, rounds: readonly number[]): Entry {
  const milliseconds = median(rounds)
  return { library, batch, milliseconds, rounds, perSecond: 1000 / milliseconds }
}

/** The entry of a library that takes the least time for an input. */
export function bestOf(entries: readonly Entry[], library: LibraryName): Entry {
  return entries.filter((entry) => entry.library === library).toSorted((a, b) => a.milliseconds - b.milliseconds)[0]!
}

/** Ours, given all inputs in one call. */
export function ownBatches(entries: readonly Entry[]): Entry {
  return entries.find(({ library, batch }) => library === "mobileclip" && batch === null)!
}

/** How many times as fast `a` is: the median of the rounds' own ratios. */
export function timesAsFast(a: Entry, b: Entry): number {
  return median(a.rounds.map((milliseconds, round) => b.rounds[round]! / milliseconds))
}

export interface Agreement {
  /** The least and the mean cosine of the two vectors of an input. */
  readonly least: number
  readonly mean: number
  /** The mean cosine of vectors of different inputs: how much the others say. */
  readonly ofOthers: number
}

/**
 * Whether two libraries did the same work: their unit vectors [inputs, width] of the same inputs, two at least. Generated
 * weights give all inputs nearly one vector, so the mean of each library's is taken away first.
 */
export function agreementOf(a: Float32Array, b: Float32Array, width: number): Agreement {
  const [rows, others] = [centred(a, width), centred(b, width)]
  const cosine = (i: number, j: number) => product(rows[i]!, others[j]!)
  const own = rows.map((_, i) => cosine(i, i))
  const different = rows.flatMap((_, i) => others.flatMap((_, j) => (i === j ? [] : [cosine(i, j)])))
  return { least: Math.min(...own), mean: meanOf(own), ofOthers: meanOf(different) }
}

/** Unit rows, without what all have in common. */
function centred(vectors: Float32Array, width: number): Float32Array[] {
  const count = vectors.length / width
  const mean = Float64Array.from({ length: width }, (_, i) => {
    return meanOf(Array.from({ length: count }, (_, row) => vectors[row * width + i]!))
  })
  const differences = vectors.map((value, i) => value - mean[i % width]!)
  l2Normalize(differences, width)
  return Array.from({ length: count }, (_, row) => differences.subarray(row * width, (row + 1) * width))
}

function product(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0)
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
