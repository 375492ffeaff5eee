/** The specification of a job as JSON: its hash, and where two differ. */
import { createHash } from "node:crypto"
import { oneLine } from "../../../core/errors.ts"
import { isObject } from "../../../core/json.ts"
import type { ShardTask } from "../../runner.ts"
import type { Json } from "./records.ts"

/** The same for the same content, in whatever order its keys stand. */
export function specHash(spec: Json): string {
  return sha256(JSON.stringify(sorted(spec)))
}

export function planHash(tasks: readonly ShardTask[]): string {
  return sha256(JSON.stringify(tasks.map(({ index, input, output }) => [index, input, output])))
}

/** "views is 10 there and 30 here", one for each value that differs. */
export function differences(there: Json, here: Json, path = ""): string[] {
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

function sorted(value: Json): Json {
  if (Array.isArray(value)) return value.map(sorted)
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key]!)]),
  )
}

function shown(value: Json): string {
  return value === null ? "not set" : oneLine(JSON.stringify(value), 60)
}
