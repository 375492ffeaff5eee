/** Values that a recipe leaves to its other keys: they are `null` until the whole recipe is known. */
import type { Recipe } from "./schema.ts"

/** The recipe as it is saved and printed: with the values that its keys decide for each other. Without teachers the loss's weights stay as they are. */
export function resolvedRecipe(recipe: Recipe): Recipe {
  const { loss, data } = recipe
  const weights = distils(recipe) ? lossWeights(recipe) : loss.weights
  return { ...recipe, loss: { ...loss, weights }, data: { ...data, view: viewOf(recipe) } }
}

/** Whether the model writes captions: such a model has this loss and no other, whatever its name is. */
export function isCaptioning({ loss }: Pick<Recipe, "loss">): boolean {
  return loss.kind === "coca"
}

/** Shards whose format is given as reinforced are used as such. */
export function isReinforced({ data }: Pick<Recipe, "data">): boolean {
  return data.reinforced || data.format === "reinforced"
}

/** Whether each picture has a real and a synthetic caption, each with a loss term. */
export function hasTwoTerms(recipe: Pick<Recipe, "data">): boolean {
  return isReinforced(recipe) && recipe.data.mixSynthetic === null
}

/** Reinforced data are used with their stored views, because the embeddings belong to these. */
export function viewOf(recipe: Pick<Recipe, "data">): NonNullable<Recipe["data"]["view"]> {
  return recipe.data.view ?? (isReinforced(recipe) ? "stored" : "crop")
}

/** Default: distillation alone, the papers' lambda of 1, where the loss can distil and there are teachers or stored embeddings. */
export function lossWeights(recipe: Recipe): NonNullable<Recipe["loss"]["weights"]> {
  const { loss } = recipe
  return loss.weights ?? (loss.kind === "distill" || (loss.kind === "siglip" && hasTeaching(recipe)) ? [0, 1] : [1, 0])
}

/** Whether there are stored embeddings, or teachers that run beside the student. */
export function hasTeaching(recipe: Recipe): boolean {
  return isReinforced(recipe) || recipe.teachers.length > 0
}

/** Whether the loss compares the student with teachers. */
export function distils(recipe: Recipe): boolean {
  const { kind } = recipe.loss
  return (kind === "distill" || kind === "siglip") && hasTeaching(recipe) && lossWeights(recipe)[1] > 0
}
