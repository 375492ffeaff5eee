/** From opening training data to the first batch: at the first sample, or where a run goes on at half of an epoch. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import type { TrainingDataConfig } from "../../../src/data/training/config.ts"
import type { Build } from "../build.ts"
import type { Prepare } from "../row.ts"

const [batchSize, side] = [64, 32]

export const prepare: Prepare = async (build, { size: { units, given }, phase, input }) => {
  const { openTrainingData } = await trainingModule(build)
  const { rank = 0, ranks = 1 } = given
  const config = { ...(await configOf(build, sourceIn(input))), rank, ranks }
  const step = phase === "half" ? Math.floor(units / 2 / batchSize) : 0
  return async () => {
    const data = await openTrainingData(config)
    for await (const _ of data.batches(step)) break
    await data.close()
    return undefined
  }
}

export function trainingModule(build: Build) {
  return build.load<typeof import("../../../src/data/training/training-data.ts")>("src/data/training/training-data.js")
}

/** Small views, one thread that decodes; decoded samples are not kept. */
export async function configOf(build: Build, source: string): Promise<TrainingDataConfig> {
  const { Tokenizer } = await build.load<typeof import("../../../src/core/text/tokenizer.ts")>(
    "src/core/text/tokenizer.js",
    "src/core/tokenizer.js",
  )
  const preprocessing = { size: side, interpolation: "bilinear", mean: [0, 0, 0], std: [1, 1, 1] } as const
  return {
    ...{ source, batchSize, rank: 0, ranks: 1, seed: 1, preprocessing, tokenizer: new Tokenizer(), contextLength: 77 },
    ...{ view: "center", workers: 1, prefetch: 1, memoryBytes: 0, maxBadSamples: 0 },
  }
}

function sourceIn(input: string): string {
  const names = ["list.csv", "list.jsonl", "shards"]
  return join(input, names.find((name) => existsSync(join(input, name)))!)
}
