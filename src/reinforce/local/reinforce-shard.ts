/** One shard through a stage: read, reinforced, written, recorded. */

import { encodeSamples, type SampleFormat } from "../../data/reinforced/encode.ts"
import { readSamples } from "../../data/reinforced/read.ts"
import type { Problem, ReinforcedSample } from "../../data/reinforced/sample.ts"
import type { Storage, Written } from "../../data/stores/storage.ts"
import type { Ledger } from "../job/ledger.ts"
import { ShardOutput } from "../job/output.ts"
import type { RunOptions, ShardResult, ShardTask } from "../runner.ts"
import type { Stage } from "../stages/stage.ts"
import { fetchInput } from "./input.ts"

interface ShardWork {
  readonly storage: Storage
  readonly ledger: Pick<Ledger, "record" | "folder">
  readonly stage: Stage
  readonly format: SampleFormat
}

/**
 * Where no sample of it can be used, nothing is written and the result has 0 samples and 0 bytes, with the reasons.
 * Throws UserError where the shard cannot be read or its output is not in the job's, EnvironmentError where the machine
 * fails.
 */
export async function reinforceShard(
  task: ShardTask,
  { storage, ledger, stage, format }: ShardWork,
  { signal, onProgress, onActivity }: RunOptions = {},
): Promise<ShardResult> {
  const started = performance.now()
  const problems: Problem[] = []
  const report = (problem: Problem) => problems.push(problem)
  const transfer = { signal, onBytes: onActivity }
  await using input = await fetchInput(storage, task.input, transfer)
  const samples = counted(stage.run(readSamples(input.path, report), report), signal, onProgress)
  const output = new ShardOutput(storage, task.output, ledger.folder)
  const written = await writeSome(samples, (some) => output.put(encodeSamples(some, format), transfer))
  if (!written) await output.remove()
  const seconds = (performance.now() - started) / 1000
  const { identity: models } = stage
  const result = { ...task, samples: samples.count, problems, ...(written ?? nothing), models, seconds }
  await ledger.record(result)
  return result
}

const nothing: Written = { bytes: 0, sha256: "" }

/** Writes unless there is no sample; null then. */
async function writeSome(
  samples: AsyncIterable<ReinforcedSample>,
  write: (samples: AsyncIterable<ReinforcedSample>) => Promise<Written>,
): Promise<Written | null> {
  const iterator = samples[Symbol.asyncIterator]()
  const first = await iterator.next()
  if (first.done) return null
  return write(continued(first.value, iterator))
}

async function* continued<T>(first: T, rest: AsyncIterator<T>): AsyncGenerator<T> {
  try {
    yield first
    for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value
  } finally {
    await rest.return?.()
  }
}

interface Counted extends AsyncIterable<ReinforcedSample> {
  readonly count: number
}

/** Counts what passes, and breaks off when the signal says so. */
function counted(
  samples: AsyncIterable<ReinforcedSample>,
  signal: AbortSignal | undefined,
  onProgress: ((samples: number) => void) | undefined,
): Counted {
  const state = { count: 0 }
  return {
    get count() {
      return state.count
    },
    async *[Symbol.asyncIterator]() {
      for await (const sample of samples) {
        signal?.throwIfAborted()
        yield sample
        state.count += 1
        onProgress?.(state.count)
      }
    },
  }
}
