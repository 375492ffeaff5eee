/** What is asked of JSON in many places. */

/** Whether a value has named parts; a list has none. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof JsonNumber)
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

/**
 * A number as a JSON text has it, where JavaScript would write another one: an id of 19 digits, `1.0`, and `NaN` and
 * `Infinity`, which Python writes.
 */
export class JsonNumber {
  constructor(readonly text: string) {}

  get value(): number {
    return Number(this.text)
  }

  /** For messages; `formatExactJson` writes the number. */
  toJSON(): string {
    return this.text
  }
}

/** Null, and the NaN by which pandas says it. */
export function isMissing(value: unknown): boolean {
  return value === null || (value instanceof JsonNumber && value.text === "NaN")
}

/** The same value with every number as JavaScript has it. */
export function plainNumbers(value: unknown): unknown {
  if (value instanceof JsonNumber) return value.value
  if (Array.isArray(value)) return value.map(plainNumbers)
  if (!isObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, plainNumbers(part)]))
}
