/**
 * Time of a reinforced step over that of a plain student's step, which reads one caption of a picture, and over that of a
 * contrastive step that reads both; loaders included; and the share of it spent waiting for data:
 *
 *     node dist/bench/reinforced-step.js [SHARDS] [--model NAME] [--batch N] [--steps 60] [--threads 2]
 *
 * SHARDS are reinforced ones, `runs/quickstart/reinforced` by default. The model is the quickstart's student, or any of the
 * family (`--model MobileCLIP2-S0 --batch 8 --steps 8`), which sees the same pictures in its own size, and the same captions.
 */
import { parseArgs } from "node:util"
import { findVariant } from "../src/core/family/variant-name.ts"
import { variants } from "../src/core/family/variants.ts"
import { measureStepTime } from "../src/experiments/comparison/step-time.ts"
import { infoOf } from "../src/experiments/quickstart/models.ts"
import { presets } from "../src/experiments/quickstart/recipe.ts"

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: "string" },
    batch: { type: "string" },
    steps: { type: "string", default: "60" },
    threads: { type: "string", default: "2" },
  },
})
const { student, reinforcement } = presets.standard
const batchSize = values.batch === undefined ? student.training.batchSize : Number(values.batch)
const info = values.model === undefined ? infoOf(student.model) : infoOfMember(values.model)

const times = await measureStepTime({
  info,
  config: { ...student.training, batchSize, seed: 0, threads: Number(values.threads) },
  shards: positionals[0] ?? "runs/quickstart/reinforced",
  objective: { ...reinforcement.objective, scales: [20, 20] },
  steps: Number(values.steps),
})
const ms = (seconds: number) => `${(1000 * seconds).toFixed(1)} ms`
console.log(
  `${info.name}, batch ${batchSize}, ${values.threads} threads: ${ms(times.reinforced)} reinforced, ${ms(times.plain)} plain, ${ms(times.bothCaptions)} contrastive with both captions`,
)
console.log(
  `medians of the ratios of neighbours: ${times.overPlain.toFixed(2)} over plain, ${times.overBothCaptions.toFixed(3)} over both captions; data wait ${(100 * times.dataWait).toFixed(2)} %`,
)

/** The untrained member of the family. */
function infoOfMember(given: string) {
  const name = findVariant(given)
  const { model: config, preprocessing } = variants[name]
  return { name, config, preprocessing, license: "MIT", samplesSeen: 0 }
}
