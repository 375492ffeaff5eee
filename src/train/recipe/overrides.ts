/** `key=value` on top of a recipe: `schedule.steps=2000 loss.weights=[0,1] precision=amp_bf16`. */
import { UserError } from "../../core/errors.ts"
import { isObject } from "../../core/json.ts"
import { parseRecipe, recipeKeys, unknownKey } from "./parse.ts"
import type { Recipe, RecipeInput } from "./schema.ts"

export interface Override {
  /** Dotted: `schedule.steps`. */
  readonly key: string
  readonly value: unknown
  /** As the user wrote it, for messages: "schedule.steps=2000", "--lr". */
  readonly source: string
}

/** Alternative keys: setting one of them clears the others. */
const alternatives = [["schedule.steps", "schedule.samples", "schedule.epochs"]] as const

/** Throws UserError where the text has no `=`, or there is no such key. */
export function parseOverride(text: string): Override {
  const at = text.indexOf("=")
  if (at <= 0)
    throw new UserError(`"${text}" is not key=value`, "for example schedule.steps=2000 or data.resampled=true")
  const key = text.slice(0, at).trim()
  if (!recipeKeys().includes(key) && !isGroupKey(key)) throw unknownKey(key, text)
  return { key, value: parseValue(text.slice(at + 1)), source: text }
}

/** Numbers as Python writes them too, which JSON does not: `70.`, `.5`, `1.e-3`. */
const number = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i

/** JSON where it is JSON, else the text itself. */
export function parseValue(text: string): unknown {
  if (number.test(text)) return Number(text)
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/**
 * The checked recipe with the overrides applied, where later ones win. A group may be set as a whole or in part: `save={"keep":3}`.
 * @param where what the recipe is, for messages
 */
export function applyOverrides(recipe: RecipeInput, overrides: readonly Override[], where: string): Recipe {
  const given = overrides.map(spelledOut)
  const cleared = alternatives.flatMap((keys) =>
    given.some(({ key }) => keys.some((one) => one === key)) ? keys.map((key) => ({ key, value: null })) : [],
  )
  const value = [...cleared, ...given].reduce<unknown>(
    (before, { key, value }) => withValue(before, key.split("."), value),
    recipe,
  )
  const sourceOf = (path: string) => given.findLast(({ key }) => isWithin(path, key))?.source
  return parseRecipe(value, { where, sourceOf })
}

/** `ema=0.9995` is short for its decay, and leaves the rest of the group. */
function spelledOut(override: Override): Override {
  return override.key === "ema" && !isObject(override.value) ? { ...override, key: "ema.decay" } : override
}

function withValue(before: unknown, path: readonly string[], value: unknown): unknown {
  const [first, ...rest] = path
  if (first === undefined) return isObject(before) && isObject(value) ? { ...before, ...value } : value
  const group = isObject(before) ? before : {}
  return { ...group, [first]: withValue(group[first], rest, value) }
}

function isGroupKey(key: string): boolean {
  return recipeKeys().some((known) => known.startsWith(`${key}.`))
}

function isWithin(path: string, key: string): boolean {
  return path === key || path.startsWith(`${key}.`) || path.startsWith(`${key}[`)
}
