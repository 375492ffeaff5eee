/** Checks data of unknown origin: a recipe, or an error of one line that says what is wrong, where, and what was expected. */
import type { z } from "zod"
import { oneLine, UserError } from "../../core/errors.ts"
import { findModel } from "../../core/family/variant-name.ts"
import { isObject } from "../../core/json.ts"
import { nearestNames } from "../../core/nearest.ts"
import { contradictionIn } from "./contradictions.ts"
import { defaultRecipe, modelOfStart, type Recipe, recipeSchema } from "./schema.ts"

type Issue = z.core.$ZodIssue

interface ParseOptions {
  /** Where the data comes from, for messages: a path, the name of a recipe. */
  readonly where: string
  /** What set a key, for messages: for example `--lr` rather than the recipe. */
  readonly sourceOf?: (path: string) => string | undefined
}

/** Throws UserError for the first thing that is wrong. */
export function parseRecipe(value: unknown, { where, sourceOf }: ParseOptions): Recipe {
  const { data, error } = recipeSchema.safeParse(value)
  const name = (path: string) => sourceOf?.(path) ?? where
  if (error) throw explain(error.issues[0]!, value, name)
  const recipe = { ...data, model: data.model === modelOfStart ? modelOfStart : findModel(data.model) }
  const wrong = contradictionIn(recipe)
  if (wrong) throw new UserError(`${name(wrong.path)}: ${wrong.message}`, wrong.hint)
  return recipe
}

/** All keys of the schema as dotted paths: `schedule.steps`. */
export function recipeKeys(value: object = defaultRecipe, prefix = ""): string[] {
  return Object.entries(value).flatMap(([key, inner]) =>
    isObject(inner) ? recipeKeys(inner, `${prefix}${key}.`) : [prefix + key],
  )
}

/** The error for a key that does not exist, with the nearest ones. */
export function unknownKey(key: string, where: string): UserError {
  const group = key.includes(".") ? key.slice(0, key.lastIndexOf(".") + 1) : ""
  const last = key.slice(group.length)
  const keys = recipeKeys()
  // A name without its group is as likely as a mistyped one.
  const elsewhere = keys.filter((known) => known.split(".").at(-1) === last)
  const nearest = elsewhere.length > 0 ? elsewhere : nearestNames(key, [...keys, ...groupNames()])
  return new UserError(`${where}: there is no key "${key}"`, `nearest: ${nearest.slice(0, 3).join(", ")}`)
}

function groupNames(): string[] {
  return Object.entries(defaultRecipe).flatMap(([key, value]) => (isObject(value) ? [key] : []))
}

function explain(issue: Issue, value: unknown, name: (path: string) => string): UserError {
  const path = pathText(issue.path)
  if (issue.code === "unrecognized_keys") {
    const key = [...issue.path, issue.keys[0]!].join(".")
    return unknownKey(key, name(key))
  }
  const found = valueAt(value, issue.path)
  const subject = path === "" ? name(path) : `${name(path)}: ${path}`
  return new UserError(`${subject} should be ${expected(issue)}, not ${oneLine(JSON.stringify(found) ?? "nothing")}`)
}

/** What zod expected, in words. */
function expected(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return typeNames[issue.expected] ?? `a ${issue.expected}`
    case "invalid_value":
      return `one of ${issue.values.map(String).join(", ")}`
    case "too_small":
      return issue.origin === "array"
        ? `a list of ${issue.minimum} values`
        : issue.origin === "string"
          ? "a text that is not empty"
          : `a number ${issue.inclusive ? "from" : "above"} ${issue.minimum}${issue.inclusive ? " on" : ""}`
    case "too_big":
      return issue.origin === "array"
        ? `a list of ${issue.maximum} values`
        : `a number ${issue.inclusive ? "of at most" : "below"} ${issue.maximum}`
    default:
      return issue.message
  }
}

const typeNames: Readonly<Record<string, string>> = {
  int: "a whole number",
  number: "a number",
  string: "a text",
  boolean: "true or false",
  object: "a group of keys",
  array: "a list",
  tuple: "a list",
}

function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, part) => (typeof part === "number" ? `${text}[${part}]` : `${text}${text && "."}${String(part)}`),
    "",
  )
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  const below = (inner: unknown, part: PropertyKey) => (inner as Record<PropertyKey, unknown>)[part]
  // A number stands for a group where its first key is the number.
  return path.reduce<unknown>((inner, part) => (typeof inner === "object" && inner ? below(inner, part) : inner), value)
}
