/** Recipes by name: `mobileclip train --recipe mobileclip2-s0`. */
import type { RecipeInput } from "../src/train/recipe/schema.ts"
import { ablationRuns } from "./ablations.ts"
import { mobileclipRuns } from "./mobileclip.ts"
import { mobileclip2Runs } from "./mobileclip2.ts"

export const runs: Readonly<Record<string, RecipeInput>> = { ...mobileclipRuns, ...mobileclip2Runs, ...ablationRuns }
