/** What is asked of JSON in many places. */

/** Whether a value has named parts; a list has none. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

/** The value, null for what is not JSON: where a schema, which takes no null, has the last word. */
export function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

/** Whether it is a whole number from 0 that is counted exactly. */
export function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

export function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(isSize)
}
