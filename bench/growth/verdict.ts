/** Exponents, memory a unit, and whether they are within their bounds. */
import type { Series } from "./growth.ts"
import type { Form, Outcome, Row } from "./row.ts"

/** Processor seconds that are told from noise: of less, no exponent is taken. */
const floorSeconds = 0.05

/**
 * Largest exponent that passes. Short sizes are a tenth of a second, in which compiling and collecting are a good part:
 * a linear step may look like 1.3 there, and a quadratic one is 2 all the same.
 */
const mostExponent = { short: 1.5, full: 1.1 } as const satisfies Record<Form, number>

/** Bytes that collected and reserved memory may differ by, whatever the size is: so small a growth is not told from none. */
export const allowanceBytes = 64 * 2 ** 20

export interface Verdict {
  /**
   * Between each size and the next: log of the times' ratio / log of the sizes' ratio, the warm-up taken from both. `atLeast` where the smaller size took
   * less than can be told from noise; null where both did, or one was not done.
   */
  readonly exponents: readonly (Exponent | null)[]
  /** Bytes of one more unit, between the two largest sizes that were measured: what threads and heaps take fills up before. Null where there is one at most. */
  readonly bytesAUnit: number | null
  /** What is wrong; none where all is well, or the build lacks what the row measures. */
  readonly problems: readonly string[]
}

export interface Exponent {
  readonly value: number
  readonly atLeast: boolean
}

/** @param row the row of the series */
export function verdictOf(row: Row, { outcomes }: Series, form: Form): Verdict {
  const units = row.sizes[form].map((size) => size.units)
  const fixed = row.warmUp.units
  const exponents = outcomes.slice(1).map((larger, i) => {
    return exponentOf(outcomes[i]!, larger, (units[i + 1]! - fixed) / (units[i]! - fixed))
  })
  const memory = memoryOf(outcomes, units)
  return {
    exponents,
    bytesAUnit: memory && Math.max(0, memory.bytes / memory.units),
    problems: [
      ...exponents.flatMap((exponent) =>
        exponent && exponent.value > mostExponent[form] ? ["time grows faster"] : [],
      ),
      ...(memory && memory.bytes - allowanceBytes > row.bound.bytes * memory.units ? ["memory over its bound"] : []),
      ...unfinished(outcomes),
    ].filter((problem, i, all) => all.indexOf(problem) === i),
  }
}

function exponentOf(smaller: Outcome, larger: Outcome, ratio: number): Exponent | null {
  if (smaller.kind !== "measured" || larger.kind !== "measured" || ratio <= 1) return null
  const [few, many] = [smaller.processorSeconds, larger.processorSeconds]
  if (many < floorSeconds) return null
  const value = Math.log(many / Math.max(few, floorSeconds)) / Math.log(ratio)
  return { value, atLeast: few < floorSeconds }
}

function memoryOf(outcomes: readonly Outcome[], units: readonly number[]): { bytes: number; units: number } | null {
  const measured = outcomes.flatMap((outcome, i) =>
    outcome.kind === "measured" ? [{ bytes: outcome.bytes, units: units[i]! }] : [],
  )
  const [first, last] = [measured.at(-2), measured.at(-1)]
  if (!first || !last || first.units >= last.units) return null
  return { bytes: last.bytes - first.bytes, units: last.units - first.units }
}

function unfinished(outcomes: readonly Outcome[]): string[] {
  return outcomes.flatMap((outcome) => {
    if (outcome.kind === "over") return [`not done in ${outcome.seconds} s`]
    return outcome.kind === "failed" ? [outcome.message] : []
  })
}
