/** Figures and errors as people read them. */
import { UserError } from "mobileclip/browser"

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

/** What a picture that cannot be read is, and what to do about it on a page: the library's hints are for who writes programs. */
export function pictureError(error: unknown, { name, size, type }: File): unknown {
  if (!(error instanceof UserError) || !error.message.startsWith(name)) return error
  const isHeic = /^image\/hei[cf]/.test(type) || /\.hei[cf]$/i.test(name)
  if (isHeic)
    return new UserError(
      `${name} is HEIC, in which iPhones take pictures, and this browser does not read it`,
      "export it as JPEG",
    )
  if (/more than the limit/.test(error.message)) return new UserError(error.message, "make it smaller first")
  return new UserError(
    error.message,
    size === 0 ? "choose another file" : "export it again as JPEG, or choose another picture",
  )
}
