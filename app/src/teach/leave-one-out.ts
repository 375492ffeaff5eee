/** A head that is chosen, and tested, by leaving one picture out: each is judged by a head that never saw it. */
import { type Fit, fit, lossOf, type Problem, problemOf, softmaxRows } from "./head.ts"

/** From heads that hardly dare to say anything to those that repeat their pictures. */
export const strengths = [3, 1, 0.3, 0.1, 0.03, 0.01, 0.003] as const

/** With more pictures, so many of them, evenly spread, choose the strength; all test the one that is chosen. */
const choosers = 40

/** While it is warm it is off by less than a picture's share changes. */
const tolerance = 1e-3

export interface Judged {
  /** The group that a head without this picture says, and its share. */
  readonly said: number
  readonly share: number
}

export interface Trained {
  readonly fit: Fit
  readonly strength: number
  /** One for each picture. */
  readonly judged: readonly Judged[]
  readonly right: number
  /** The interval of the share of right ones: Wilson's, 95 %. */
  readonly interval: readonly [low: number, high: number]
}

export interface TrainOptions {
  readonly signal?: AbortSignal
  /** 0..1 */
  readonly onProgress?: (share: number) => void
}

/**
 * @param vectors N unit vectors
 * @param groups each one's group, of `count`
 */
export async function train(
  vectors: readonly Float32Array[],
  groups: readonly number[],
  count: number,
  { signal, onProgress }: TrainOptions = {},
): Promise<Trained> {
  const problem = problemOf(vectors, groups, count)
  const some = evenly(vectors.length, choosers)
  const turns = new Turns(strengths.length * some.length + vectors.length, signal, onProgress)
  let worse = 0
  let best: { readonly strength: number; readonly loss: number; readonly fit: Fit } | null = null
  for (const strength of strengths) {
    const whole: Fit = fit(problem, { strength, from: best?.fit })
    let loss = 0
    for (const picture of some) {
      loss += lossOf(withoutOne(problem, whole, strength, picture), groups[picture]!)
      await turns.next()
    }
    const isBetter: boolean = best === null || loss < best.loss
    if (isBetter) best = { strength, loss, fit: whole }
    worse = isBetter ? 0 : worse + 1
    // The loss has one valley; weaker ones would take the longest.
    if (worse === 2) break
  }
  const { strength, fit: whole } = best!
  const judged: Judged[] = []
  for (let picture = 0; picture < vectors.length; picture++) {
    const shares = softmaxRows(withoutOne(problem, whole, strength, picture), count)
    const said = shares.indexOf(Math.max(...shares))
    judged.push({ said, share: shares[said]! })
    await turns.next()
  }
  const right = judged.filter(({ said }, i) => said === groups[i]).length
  return { fit: whole, strength, judged, right, interval: wilson(right, vectors.length) }
}

/** Logits [K] of a picture by a head that was trained without it. */
function withoutOne(problem: Problem, whole: Fit, strength: number, picture: number): Float64Array {
  const { logits } = fit(problem, { strength, leftOut: picture, from: whole, tolerance })
  return logits.slice(picture * problem.count, (picture + 1) * problem.count)
}

function evenly(count: number, most: number): number[] {
  if (count <= most) return Array.from({ length: count }, (_, i) => i)
  return Array.from({ length: most }, (_, i) => Math.floor(((i + 0.5) * count) / most))
}

/** Wilson's 95 % interval (1927), which is not empty where all or none are right. */
export function wilson(right: number, all: number): readonly [low: number, high: number] {
  const z = 1.959963984540054
  const [share, shrink] = [right / all, 1 + z ** 2 / all]
  const centre = (share + z ** 2 / (2 * all)) / shrink
  const half = (z / shrink) * Math.sqrt((share * (1 - share)) / all + z ** 2 / (4 * all ** 2))
  return [Math.max(0, centre - half), Math.min(1, centre + half)]
}

/** The page answers in between. */
class Turns {
  private done = 0
  private last = performance.now()

  constructor(
    private readonly total: number,
    private readonly signal: AbortSignal | undefined,
    private readonly onProgress: ((share: number) => void) | undefined,
  ) {}

  async next(): Promise<void> {
    this.done++
    if (performance.now() - this.last < 30) return
    this.onProgress?.(this.done / this.total)
    await new Promise((resolve) => setTimeout(resolve))
    this.signal?.throwIfAborted()
    this.last = performance.now()
  }
}
