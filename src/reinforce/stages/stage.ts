/** A stage of reinforcement: what it adds to samples, one after the other. */
import { isInputError } from "../../core/errors.ts"
import { mapOrdered } from "../../core/parallel.ts"
import type { Problem, ReinforcedSample } from "../../data/reinforced/sample.ts"

export type Report = (problem: Problem) => void

export interface Stage extends AsyncDisposable {
  /** Names the models, with hashes of their weights: two stages of one identity and job give the same values. */
  readonly identity: string
  /** Gives the samples with what the stage adds, in their order; those it cannot serve are reported and left out. */
  run(samples: AsyncIterable<ReinforcedSample>, report: Report): AsyncGenerator<ReinforcedSample>
}

/** What a stage works on. */
export interface Prepared {
  readonly sample: ReinforcedSample
  /** Only a part of its picture is there, and was taken all the same. */
  readonly isCutOff: boolean
}

/** `prepare(sample)` of each, in order, `parallel` at a time; those it refuses with a UserError are reported and left out. */
export async function* preparedSamples<T extends Prepared>(
  samples: AsyncIterable<ReinforcedSample>,
  parallel: number,
  prepare: (sample: ReinforcedSample) => Promise<T>,
  report: Report,
): AsyncGenerator<T> {
  const attempt = async (sample: ReinforcedSample) => {
    try {
      return { ok: true, value: await prepare(sample) } as const
    } catch (error) {
      if (!isInputError(error)) throw error
      return { ok: false, problem: { key: sample.key, reason: error.message, action: "dropped" } } as const
    }
  }
  for await (const attempted of mapOrdered(samples, parallel, attempt)) {
    if (!attempted.ok) report(attempted.problem)
    else {
      const { sample, isCutOff } = attempted.value
      if (isCutOff)
        report({ key: sample.key, reason: "its picture is cut off; what is there was taken", action: "kept" })
      yield attempted.value
    }
  }
}
