/** Where recipes come from: the tables in `recipes/`, a JSON file, or the folder of a run. */
import { existsSync } from "node:fs"
import { join, resolve } from "node:path"
import { recipes } from "../../../recipes/index.ts"
import { messageOf, UserError } from "../../core/errors.ts"
import { nearestNames } from "../../core/nearest.ts"
import { splitList } from "../../data/expand.ts"
import { isUrl } from "../../data/stores/open.ts"
import { readJson, writeAtomically } from "../../host/files/files.ts"
import { parseRecipe } from "./parse.ts"
import { defaultRecipe, type Recipe } from "./schema.ts"

/** A recipe and its name in messages. */
export interface NamedRecipe {
  readonly name: string
  readonly recipe: Recipe
}

const FILE = "config.json"

/** Names of the recipes that come with the package. */
export const recipeNames = Object.keys(recipes)

/** By the name of a recipe in `recipes/`, or the path of a JSON file; without either, the defaults. */
export async function recipeNamed(name: string | undefined): Promise<NamedRecipe> {
  if (name === undefined) return { name: "the default recipe", recipe: defaultRecipe }
  if (Object.hasOwn(recipes, name)) return { name, recipe: parseRecipe(recipes[name], { where: name }) }
  if (/\.json$/.test(name)) {
    return { name, recipe: parseRecipe(await readJson(name, "a recipe"), { where: name }) }
  }
  throw new UserError(
    `there is no recipe named "${name}"`,
    `nearest: ${nearestNames(name, recipeNames).join(", ")}; mobileclip train --help lists all; or give the path of a .json file`,
  )
}

/** The resolved recipe that a run was started with, or null where the folder holds none. */
export async function recipeOfRun(directory: string): Promise<NamedRecipe | null> {
  const path = join(directory, FILE)
  return existsSync(path) ? recipeNamed(path) : null
}

/** Writes `config.json` into the folder of a run, which must exist, with absolute paths. Throws UserError where there is a `config.json` of something else. */
export async function saveRecipe(directory: string, recipe: Recipe): Promise<void> {
  await recipeOfRun(directory).catch((error: unknown) => {
    throw new UserError(
      `${join(directory, FILE)} is not a recipe and is not replaced: ${messageOf(error)}`,
      "choose another directory",
      { cause: error },
    )
  })
  await writeAtomically(join(directory, FILE), [recipeJson(withAbsolutePaths(recipe))])
}

/** What a recipe names on this machine is relative to the folder that the command runs in; a run may go on from another one. */
function withAbsolutePaths(recipe: Recipe): Recipe {
  const { data, evaluate, start, teachers } = recipe
  const place = (path: string) => (isUrl(path) ? path : resolve(path))
  const model = (name: string) => (existsSync(name) ? resolve(name) : name)
  const train = data.train && splitList(data.train).map(place).join("::")
  const tasks = evaluate.tasks && place(evaluate.tasks)
  return {
    ...recipe,
    start: start && model(start),
    teachers: teachers.map(model),
    data: { ...data, train },
    evaluate: { ...evaluate, tasks },
  }
}

/** The JSON that is saved and printed. */
export function recipeJson(recipe: Recipe): string {
  return `${JSON.stringify(recipe, null, 2)}\n`
}
