/** From the command line to the recipe of a run. */
import { UserError } from "../../core/errors.ts"
import { decided } from "../../train/recipe/decided.ts"
import { type NamedRecipe, recipeNamed, recipeOfRun } from "../../train/recipe/load.ts"
import { applyOverrides } from "../../train/recipe/overrides.ts"
import type { Recipe } from "../../train/recipe/schema.ts"
import { existingCheckpoint } from "../../train/run/run-directory.ts"
import type { TrainArguments } from "./arguments.ts"

/** A resumed run goes on with its own recipe where none is named. Throws UserError where a run has no data, or there is none to resume. */
export async function resolveRecipe(args: TrainArguments): Promise<Recipe> {
  const { name, recipe } = await baseRecipe(args)
  const resolved = decided(applyOverrides(recipe, args.overrides, name))
  if (resolved.data.train !== null || args.launch.dryRun || args.launch.printConfig) return resolved
  throw new UserError(`${name}: data.train is missing`, "name the data: --train-data 'data/{00000..00127}.tar'")
}

async function baseRecipe({ recipe, launch }: TrainArguments): Promise<NamedRecipe> {
  if (recipe === null && launch.resume !== null && launch.out !== null) {
    const own = await recipeOfRun(launch.out)
    if (own) return own
    if (launch.resume === "latest") await existingCheckpoint({ directory: launch.out, existing: "require" })
  }
  return recipeNamed(recipe ?? undefined)
}
