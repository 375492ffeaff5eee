/**
 * Whether work may go on: settings, shards and models of a job, compared with those that it was begun with, in its output
 * folder and on a server.
 */
import { createHash } from "node:crypto"
import { oneLine, UserError } from "../../core/errors.ts"
import { isObject } from "../../core/json.ts"
import { isSamePlace } from "../../host/files/same-place.ts"
import type { ShardTask } from "../runner.ts"
import type { AnyJob } from "./job.ts"

/** Whether work of one may go on as the other. */
export function isSameJob(before: unknown, now: AnyJob): boolean {
  return differenceOf(before, now) === null
}

/** Throws UserError that names the first setting in which `now` is not the job that `folder` was begun with. */
export function requireSameJob(before: unknown, now: AnyJob, folder: string): void {
  const difference = differenceOf(before, now)
  if (difference === null) return
  const { path, values } = difference
  if (path === "stage" || path === "kind")
    throw new UserError(`${folder} holds the work of another kind of job`, "name another --output")
  if (path === "shards")
    throw new UserError(`the shards have changed since ${folder} was begun`, "with another --output all are looked at")
  throw new UserError(
    `${folder} was begun with ${path} ${JSON.stringify(values[0])}, and now it is ${JSON.stringify(values[1])}`,
    "use the same settings to go on, or another --output",
  )
}

function differenceOf(before: unknown, now: AnyJob): Difference | null {
  return firstDifference(before, JSON.parse(JSON.stringify(now)), "")
}

interface Difference {
  readonly path: string
  readonly values: readonly [unknown, unknown]
}

function firstDifference(before: unknown, now: unknown, path: string): Difference | null {
  if (!hasParts(before) || !hasParts(now)) {
    return before === now || isSameModels(path, before, now) ? null : { path, values: [before, now] }
  }
  for (const key of new Set([...Object.keys(before), ...Object.keys(now)])) {
    const found = firstDifference(before[key], now[key], path === "" ? key : `${path}.${key}`)
    if (found) return found
  }
  return null
}

/** Models may be named from another folder; what they are, the records of shards say. */
function isSameModels(path: string, before: unknown, now: unknown): boolean {
  if (path !== "stage.modelName" || typeof before !== "string" || typeof now !== "string") return false
  const [earlier, later] = [before.split(","), now.split(",")]
  return earlier.length === later.length && earlier.every((name, i) => isSamePlace(name.trim(), later[i]!.trim()))
}

/** A list has parts too, named by their positions. */
function hasParts(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null
}

/** A shard, and what made it. */
interface MadeShard {
  readonly output: string
  /** Identity of the models. */
  readonly models: string
}

/** Shards that are named in a message. */
const namedShards = 4

/** Throws UserError, naming them, where shards of the output were made by other models than those of the job. */
export function requireSameModels(results: Iterable<MadeShard>, now: string, folder: string): void {
  const others = [...results].filter(({ models }) => models !== now)
  const [first] = others
  if (!first) return
  const made = others.filter(({ models }) => models === first.models)
  throw new UserError(
    `${folder} has shards made by ${first.models} (${namesOf(made)}), and not by ${now}`,
    "use the same weights, or another --output",
  )
}

/** Throws UserError where shards of the output were made by different models. */
export function requireOneModel(results: Iterable<MadeShard>, folder: string): void {
  const all = [...results]
  if (all[0]) requireSameModels(all, mostCommon(all.map(({ models }) => models)), folder)
}

function mostCommon(values: readonly string[]): string {
  const counts = new Map<string, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return [...counts].reduce((best, entry) => (entry[1] > best[1] ? entry : best))[0]
}

function namesOf(made: readonly MadeShard[]): string {
  const outputs = [...new Set(made.map(({ output }) => output))]
  const names = outputs.slice(0, namedShards).map((output) => output.slice(output.lastIndexOf("/") + 1))
  return names.join(", ") + (outputs.length > namedShards ? `, and ${outputs.length - namedShards} more` : "")
}

/** The same for the same content, in whatever order its keys stand. */
export function specHash(spec: unknown): string {
  return sha256(JSON.stringify(sorted(spec)))
}

export function planHash(tasks: readonly ShardTask[]): string {
  return sha256(JSON.stringify(tasks.map(({ index, input, output }) => [index, input, output])))
}

/** "views is 10 there and 30 here", one for each value that differs. */
export function differences(there: unknown, here: unknown, path = ""): string[] {
  if (isObject(there) && isObject(here)) {
    const keys = [...new Set([...Object.keys(there), ...Object.keys(here)])].sort()
    return keys.flatMap((key) => differences(there[key] ?? null, here[key] ?? null, path ? `${path}.${key}` : key))
  }
  if (JSON.stringify(sorted(there)) === JSON.stringify(sorted(here))) return []
  return [`${path || "it"} is ${shown(there)} there and ${shown(here)} here`]
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex")
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key])]),
  )
}

function shown(value: unknown): string {
  return value === null ? "not set" : oneLine(JSON.stringify(value), 60)
}
