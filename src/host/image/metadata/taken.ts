/** When a picture was taken, as cameras, editors and services write it. */

export interface Taken {
  /** By the camera's clock: "2024-05-17T14:03:22". */
  readonly text: string
  /** "+02:00" where it is known. */
  readonly utcOffset: string | null
  /**
   * Milliseconds since 1970. Exact where the offset is known; otherwise the camera's clock is read as if it showed UTC, which is up to 14 hours
   * off, and puts pictures of one camera in their order.
   */
  readonly ms: number
}

/** EXIF's "2024:05:17 14:03:22", and ISO 8601, which may have an offset. */
const pattern =
  /^\s*(\d{4})[:-](\d\d)[:-](\d\d)[T ](\d\d):(\d\d)(?::(\d\d))?(?:\.\d{1,9})?\s*(Z|[+-]\d\d:?\d\d)?\s*\0?$/

/** Null where it is not a time, as in "0000:00:00 00:00:00" and "    :  :     :  :  ". */
export function takenAt(value: unknown, offset: unknown): Taken | null {
  const match = typeof value === "string" && value.length <= 64 ? pattern.exec(value) : null
  if (!match) return null
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((digits) => Number(digits ?? 0)) as Six
  const ms = Date.UTC(year, month - 1, day, hour, minute, second)
  const text = Number.isNaN(ms) ? "" : new Date(ms).toISOString().slice(0, 19)
  const date = [year, month, day].map((part, i) => String(part).padStart(i === 0 ? 4 : 2, "0")).join("-")
  // Days and hours that do not exist would count on into the next ones.
  const isTime = year >= 1800 && text.startsWith(`${date}T${String(hour).padStart(2, "0")}:`)
  if (!isTime || minute > 59 || second > 59) return null
  const utcOffset = offsetOf(match[7] ?? offset)
  return { text, utcOffset, ms: ms - (utcOffset === null ? 0 : minutesOf(utcOffset) * 60_000) }
}

type Six = [number, number, number, number, number, number]

function offsetOf(value: unknown): string | null {
  if (value === "Z") return "+00:00"
  const match = typeof value === "string" ? /^([+-])(\d\d):?(\d\d)\s*\0?$/.exec(value) : null
  if (!match) return null
  const offset = `${match[1]}${match[2]}:${match[3]}`
  return Math.abs(minutesOf(offset)) <= 14 * 60 && Number(match[3]) < 60 ? offset : null
}

function minutesOf(offset: string): number {
  const minutes = Number(offset.slice(1, 3)) * 60 + Number(offset.slice(4))
  return offset.startsWith("-") ? -minutes : minutes
}
