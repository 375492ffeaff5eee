/** Trains the quickstart's model for a few steps: `node dist/examples/train.js SHARDS OUT [KEY=VALUE...]`. */
import { applyOverrides, parseOverride, recipeNamed, trainRecipe } from "mobileclip/train"

const [shards = "scenes/train", out = "run", ...more] = process.argv.slice(2)
const { name, recipe } = await recipeNamed(undefined)
const overrides = ["schedule.steps=2", "schedule.warmup=1", "batch.size=16", ...more].map(parseOverride)
const chosen = applyOverrides({ ...recipe, data: { ...recipe.data, train: shards } }, overrides, name)
const summary = await trainRecipe(chosen, {
  out,
  threads: 1,
  startProgress: () => ({ update: (done, detail) => console.error(done, detail), done() {} }),
})
console.log(`${summary!.checkpoint}: loss ${summary!.finalLoss.toFixed(3)} after ${summary!.steps} steps`)
