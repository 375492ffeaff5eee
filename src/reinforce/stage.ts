/** A stage of reinforcement: what it adds to samples, one after the other. */
import type { Problem, ReinforcedSample } from "../data/reinforced/sample.ts"

export type Report = (problem: Problem) => void

export interface Stage extends AsyncDisposable {
  /** Of the models, with hashes of their weights: two stages of one identity and job give the same values. */
  readonly identity: string
  /** Gives the samples with what the stage adds, in their order; those it cannot serve are reported and left out. */
  run(samples: AsyncIterable<ReinforcedSample>, report: Report): AsyncGenerator<ReinforcedSample>
}

/** Consecutive items, `size` at a time; the last batch may be smaller. */
export async function* batchesOf<T>(items: AsyncIterable<T>, size: number): AsyncGenerator<T[]> {
  let batch: T[] = []
  for await (const item of items) {
    batch.push(item)
    if (batch.length < size) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}
