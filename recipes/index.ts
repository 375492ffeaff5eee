/** Recipes by name: `mobileclip train --recipe mobileclip2-s0`. */
import type { RecipeInput } from "../src/train/recipe/schema.ts"
import { ablationRecipes } from "./ablations.ts"
import { mobileclipRecipes } from "./mobileclip.ts"
import { mobileclip2Recipes } from "./mobileclip2.ts"

export const recipes: Readonly<Record<string, RecipeInput>> = {
  ...mobileclipRecipes,
  ...mobileclip2Recipes,
  ...ablationRecipes,
}
