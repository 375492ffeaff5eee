/** What a schema finds wrong with a request, as a sentence for whoever sent it: where, what is expected, and what was found. */
import type { core } from "zod"
import { quoted } from "../../core/errors.ts"
import { RequestError } from "./errors.ts"

type Issue = core.$ZodIssue
type Path = readonly PropertyKey[]

/** @param data what was checked */
export function schemaRefusal(issues: readonly Issue[], data: unknown): RequestError {
  const issue = innermost(issues[0]!)
  const field = fieldOf(issue.path)
  return new RequestError("invalid", `${field || "the body"}: ${sentence(issue, data)}`, field || null)
}

/** As programs write it: input[3].image */
function fieldOf(path: Path): string {
  return path
    .map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`))
    .join("")
    .replace(/^\./, "")
}

/** A list that may have several forms: what is wrong is the element that the most fitting form stops at. */
function innermost(issue: Issue): Issue {
  if (issue.code !== "invalid_union") return issue
  const elements = issue.errors.flatMap(([first]) => (typeof first?.path[0] === "number" ? [first] : []))
  const [farthest] = elements.sort((a, b) => Number(b.path[0]) - Number(a.path[0]))
  return farthest ? innermost({ ...farthest, path: [...issue.path, ...farthest.path] } as Issue) : issue
}

function sentence(issue: Issue, data: unknown): string {
  if (issue.code === "unrecognized_keys") return `${quoted(issue.keys[0]!)} is not a field that is known here`
  const expected = expectation(issue)
  const found = foundAt(issue.path, data)
  if (expected === null) return issue.message
  return found === undefined ? `it is missing: ${expected} is expected` : `${expected} is expected, not ${found}`
}

/** Null: the schema has a sentence of its own. */
function expectation(issue: Issue): string | null {
  switch (issue.code) {
    case "invalid_type":
      return nouns[issue.expected] ?? issue.expected
    case "invalid_value":
      return oneOf(issue.values)
    case "too_big":
      return sized(issue.origin, issue.inclusive ? "at most" : "less than", issue.maximum)
    case "too_small":
      return sized(issue.origin, issue.inclusive ? "at least" : "more than", issue.minimum)
    case "invalid_union":
      if ("options" in issue) return oneOf(issue.options as readonly unknown[])
      return issue.message === "Invalid input" ? unionOf(issue.errors) : issue.message
    default:
      return null
  }
}

function sized(origin: string, how: string, size: number | bigint): string {
  const plural = Number(size) === 1 ? "" : "s"
  if (origin === "string") return `a text of ${how} ${size} character${plural}`
  return origin === "array" ? `a list of ${how} ${size} element${plural}` : `a number of ${how} ${size}`
}

function oneOf(values: readonly unknown[]): string {
  return `${values.length > 1 ? "one of " : ""}${values.map((value) => JSON.stringify(value)).join(", ")}`
}

function unionOf(branches: readonly (readonly Issue[])[]): string | null {
  const each = branches.flatMap(([first]) => (first?.path.length === 0 ? [expectation(first)] : []))
  return each.length === 0 || each.includes(null) ? null : [...new Set(each)].join(" or ")
}

const nouns: Readonly<Record<string, string>> = {
  ...{ string: "a text", number: "a number", int: "a whole number", boolean: "true or false" },
  ...{ array: "a list", object: "an object", record: "an object" },
}

/** Never a client's whole text. */
function foundAt(path: Path, data: unknown): string | undefined {
  const value = path.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown> | null)?.[key], data)
  if (value === undefined) return undefined
  if (typeof value === "string")
    return value.length > mostShown ? `a text of ${value.length} characters` : quoted(value)
  if (Array.isArray(value)) return `a list of ${value.length}`
  return typeof value === "object" && value !== null ? "an object" : String(value)
}

const mostShown = 30
