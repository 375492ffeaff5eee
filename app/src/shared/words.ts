/** Figures and errors as people read them. */

export function percent(share: number, digits = 0): string {
  return `${(share * 100).toFixed(digits)} %`
}

export function counted(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`
}

export function megabytes(bytes: number): string {
  const value = bytes / 1e6
  if (value < 0.1) return `${Math.max(1, Math.round(bytes / 1e3))} kB`
  return `${value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en")} MB`
}

export interface Told {
  readonly what: string
  /** What to do about it. */
  readonly todo: string | null
}

/** The library's errors say both; others say what they can. */
export function told(error: unknown): Told {
  const { message, hint } = Object(error) as { message?: unknown; hint?: unknown }
  const what = typeof message === "string" && message !== "" ? message : String(error)
  return { what, todo: typeof hint === "string" ? hint : null }
}

export function isAbort(error: unknown): boolean {
  return Object(error).name === "AbortError"
}
