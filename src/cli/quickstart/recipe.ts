/** The quickstart in numbers, chosen on two processor cores with libtorch 1.13; the search is in docs/log.md. */
import type { TrainConfig } from "../../train/train.ts"
import { defaultTrainConfig } from "../../train/train.ts"

export const recipe = {
  variant: "quickstart",
  scenes: { train: 10_000, test: 1_500, retrieval: 500 },
  training: {
    ...defaultTrainConfig,
    batchSize: 96,
    steps: 640,
    warmupSteps: 50,
    learningRate: 2e-3,
    saveEvery: 200,
  },
} as const satisfies {
  variant: string
  scenes: Record<string, number>
  training: Omit<TrainConfig, "threads">
}
