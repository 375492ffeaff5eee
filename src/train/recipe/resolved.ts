/** What a recipe leaves to its other keys: `null`, until all of it is known. */
import type { Recipe } from "./schema.ts"

/** As it is saved and printed: with what its keys decide for each other. A loss without teachers has no weights of theirs. */
export function resolvedRecipe(recipe: Recipe): Recipe {
  const { loss, data } = recipe
  const weights = distils(recipe) ? lossWeights(recipe) : loss.weights
  return { ...recipe, loss: { ...loss, weights }, data: { ...data, view: viewOf(recipe) } }
}

/** Shards that are called reinforced are used as such. */
export function isReinforced({ data }: Pick<Recipe, "data">): boolean {
  return data.reinforced || data.format === "reinforced"
}

/** Whether each picture has a real and a synthetic caption, with a loss term each. */
export function hasTwoTerms(recipe: Pick<Recipe, "data">): boolean {
  return isReinforced(recipe) && recipe.data.mixSynthetic === null
}

/** Reinforced data are used by their stored views: the embeddings are of these. */
export function viewOf(recipe: Pick<Recipe, "data">): NonNullable<Recipe["data"]["view"]> {
  return recipe.data.view ?? (isReinforced(recipe) ? "stored" : "crop")
}

/** Where a loss can distil and there is what to learn from, distillation alone: the papers' lambda of 1. */
export function lossWeights(recipe: Recipe): NonNullable<Recipe["loss"]["weights"]> {
  const { loss } = recipe
  return loss.weights ?? (loss.kind === "distill" || (loss.kind === "siglip" && hasTeaching(recipe)) ? [0, 1] : [1, 0])
}

/** Stored embeddings, or teachers that run along. */
export function hasTeaching(recipe: Recipe): boolean {
  return isReinforced(recipe) || recipe.teachers.length > 0
}

/** Whether the loss compares with teachers. */
export function distils(recipe: Recipe): boolean {
  const { kind } = recipe.loss
  return (kind === "distill" || kind === "siglip") && hasTeaching(recipe) && lossWeights(recipe)[1] > 0
}
