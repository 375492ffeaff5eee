/**
 * Time of a reinforced step over that of a contrastive one on the same captions, loaders included, and the share of it spent
 * waiting for data, at the quickstart's size:
 *
 *     node dist/bench/reinforced-step.js [runs/quickstart/reinforced] [--steps 60] [--threads N]
 */
import { parseArgs } from "node:util"
import { measureStepTime } from "../src/experiments/comparison/step-time.ts"
import { infoOf } from "../src/experiments/quickstart/models.ts"
import { presets } from "../src/experiments/quickstart/recipe.ts"

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { steps: { type: "string", default: "60" }, threads: { type: "string", default: "2" } },
})
const { student, reinforcement } = presets.standard
const { ratio, plain, reinforced, dataWait } = await measureStepTime({
  info: infoOf(student.model),
  config: { ...student.training, seed: 0, threads: Number(values.threads) },
  shards: positionals[0] ?? "runs/quickstart/reinforced",
  objective: { ...reinforcement.objective, scales: [20, 20] },
  steps: Number(values.steps),
})
console.log(
  `${(1000 * reinforced).toFixed(1)} ms reinforced, ${(1000 * plain).toFixed(1)} ms plain, ${values.threads} threads`,
)
console.log(`median ratio of neighbours ${ratio.toFixed(3)}; data wait ${(100 * dataWait).toFixed(2)} %`)
