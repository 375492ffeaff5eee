/**
 * Words for a time to a range of local times, as a camera writes them: "2023", "2023-07", "2023-07-14", "2023-07-14T18:02",
 * "today", "yesterday", "3 weeks ago". The year comes first, because 03/04/2023 is two days.
 */
import { quoted, UserError } from "../../../core/errors.ts"

/** "2023-07-14T18:02:11", without an end: `start <= t < end` compares as texts. */
export interface Span {
  readonly start: string
  readonly end: string
  /** False for "3 weeks ago", which may be the day or the week. */
  readonly isExact: boolean
}

/** @param option that the words are the value of, for messages. Throws UserError for any other text and for dates that do not exist. */
export function parseTime(text: string, option: string, now: Date): Span {
  const words = text.trim().toLowerCase().replaceAll(/\s+/g, " ")
  const span = namedDay(words, now) ?? ago(words, option, now) ?? calendar(words, option)
  if (span) return span
  throw new UserError(`${option} ${quoted(text)} is not a time`, hintFor(words))
}

const examples = '2023, 2023-07, 2023-07-14, 2023-07-14T18:30, today, yesterday or "3 weeks ago"'

function hintFor(words: string): string {
  const [, a, b, year] = /^(\d{1,2})[./-](\d{1,2})[./-](\d{4})$/.exec(words) ?? []
  if (year !== undefined) {
    const [left, right] = [a!, b!].map((part) => part.padStart(2, "0"))
    return left === right
      ? `write the year first: ${year}-${left}-${right}`
      : `day and month are not told apart: write the year first, ${year}-${right}-${left} or ${year}-${left}-${right}`
  }
  if (/^(last|this|past) /.test(words)) return `say it exactly: "7 days ago", or a month as 2023-07`
  return `expected ${examples}`
}

// ------------------------------------------------------------------------------------------------------ days before today

function namedDay(words: string, now: Date): Span | null {
  const days = ["today", "yesterday"].indexOf(words)
  return days < 0 ? null : dayBefore(now, days, true)
}

function ago(words: string, option: string, now: Date): Span | null {
  const [, count, unit] = /^(\d{1,4}|an?|one) (day|week|month|year)s? ago$/.exec(words) ?? []
  if (unit === undefined) return null
  const n = /^\d/.test(count!) ? Number(count) : 1
  if (unit === "day") return requireYear(dayBefore(now, n, true), words, option)
  if (unit === "week") return requireYear(dayBefore(now, 7 * n, false), words, option)
  return requireYear(monthsBefore(now, unit === "month" ? n : 12 * n), words, option)
}

function dayBefore(now: Date, days: number, isExact: boolean): Span {
  const [year, month, day] = [now.getFullYear(), now.getMonth(), now.getDate() - days]
  return { start: localText(year, month, day), end: localText(year, month, day + 1), isExact }
}

/** The same day of another month, or its last day where it is shorter. */
function monthsBefore(now: Date, months: number): Span {
  const [year, month] = [now.getFullYear(), now.getMonth() - months]
  const day = Math.min(now.getDate(), lastDay(year, month))
  return { start: localText(year, month, day), end: localText(year, month, day + 1), isExact: false }
}

/** Nothing was photographed in the first thousand years, and texts of four digits compare. */
function requireYear(span: Span, words: string, option: string): Span {
  if (/^[1-9]\d{3}-/.test(span.start)) return span
  throw new UserError(`${option} ${quoted(words)} is too long ago`, `expected ${examples}`)
}

// ------------------------------------------------------------------------------------------------------ the calendar

function calendar(words: string, option: string): Span | null {
  const pattern = /^([12]\d{3})(?:([-/])(\d{1,2})(?:\2(\d{1,2})(?:[t ](\d{1,2}):(\d{2})(?::(\d{2}))?)?)?)?$/
  const match = pattern.exec(words)
  if (!match) return null
  const [year, month, day, hour, minute, second] = [1, 3, 4, 5, 6, 7].map((group) => numberOf(match[group]))
  requireOnCalendar([year!, month, day], [hour, minute, second], words, option)
  const parts = [year!, month, day, hour, minute, second].filter((part) => part !== undefined)
  return { start: timeText(parts), end: timeText(parts.with(-1, parts.at(-1)! + 1)), isExact: true }
}

function requireOnCalendar(
  [year, month, day]: readonly [number, number | undefined, number | undefined],
  clock: readonly (number | undefined)[],
  words: string,
  option: string,
): void {
  const [hour = 0, minute = 0, second = 0] = clock
  const isMonth = month === undefined || (month >= 1 && month <= 12)
  const isDay = day === undefined || (isMonth && day >= 1 && day <= lastDay(year, month! - 1))
  if (isMonth && isDay && hour < 24 && minute < 60 && second < 60) return
  const fault = isMonth && isDay ? "clock has no such time" : "calendar has no such day"
  throw new UserError(`${option} ${quoted(words)}: the ${fault}`, `expected ${examples}`)
}

/** Year, month from 1 on, day, hour, minute, second, as many as are given; a part may be one too many. */
function timeText([year, month = 1, ...rest]: readonly number[]): string {
  const [day = 1, hour = 0, minute = 0, second = 0] = rest
  return localText(year!, month - 1, day, hour, minute, second)
}

/** In UTC, where no hour is missing or comes twice; what is too many goes over into the next unit. */
function localText(...[year, month, ...rest]: [number, number, ...number[]]): string {
  return new Date(Date.UTC(year, month, ...rest)).toISOString().slice(0, 19)
}

/** @param month from 0 on, or before */
function lastDay(year: number, month: number): number {
  return new Date(Date.UTC(year, month + 1, 0)).getUTCDate()
}

function numberOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text)
}
