import { expect, test } from "vitest"
import { UserError } from "../../../core/errors.ts"
import { parseTime } from "./parse-time.ts"

/** Local time: a Thursday in a leap year's spring. */
const now = new Date(2024, 2, 31, 13, 5, 9)
const span = (text: string) => {
  const { start, end } = parseTime(text, "--after", now)
  return [start, end]
}

test.each([
  ["2023", "2023-01-01T00:00:00", "2024-01-01T00:00:00"],
  ["2023-07", "2023-07-01T00:00:00", "2023-08-01T00:00:00"],
  ["2023/12", "2023-12-01T00:00:00", "2024-01-01T00:00:00"],
  ["2024-2-29", "2024-02-29T00:00:00", "2024-03-01T00:00:00"],
  ["2023-12-31", "2023-12-31T00:00:00", "2024-01-01T00:00:00"],
  ["2023-07-14T18:02", "2023-07-14T18:02:00", "2023-07-14T18:03:00"],
  ["2023-07-14 23:59:59", "2023-07-14T23:59:59", "2023-07-15T00:00:00"],
  // An hour that clocks skip in many places is a time of a camera's all the same.
  ["2024-03-31 02:30", "2024-03-31T02:30:00", "2024-03-31T02:31:00"],
  ["today", "2024-03-31T00:00:00", "2024-04-01T00:00:00"],
  [" Yesterday ", "2024-03-30T00:00:00", "2024-03-31T00:00:00"],
  ["31 days ago", "2024-02-29T00:00:00", "2024-03-01T00:00:00"],
  ["a week ago", "2024-03-24T00:00:00", "2024-03-25T00:00:00"],
  ["3  weeks ago", "2024-03-10T00:00:00", "2024-03-11T00:00:00"],
  // The last day of a shorter month.
  ["1 month ago", "2024-02-29T00:00:00", "2024-03-01T00:00:00"],
  ["13 months ago", "2023-02-28T00:00:00", "2023-03-01T00:00:00"],
  ["2 years ago", "2022-03-31T00:00:00", "2022-04-01T00:00:00"],
])("%s", (text, start, end) => {
  expect(span(text)).toEqual([start, end])
})

test("every day that is written is the day that is meant, and days follow each other", () => {
  for (let day = 0; day < 800; day++) {
    const date = new Date(Date.UTC(2023, 0, 1 + day)).toISOString().slice(0, 10)
    const next = new Date(Date.UTC(2023, 0, 2 + day)).toISOString().slice(0, 10)
    expect(span(date)).toEqual([`${date}T00:00:00`, `${next}T00:00:00`])
  }
})

test.each([
  ["2023-02-29", "the calendar has no such day", "expected 2023"],
  ["2023-13", "the calendar has no such day", "expected 2023"],
  ["2023-07-14T24:00", "the clock has no such time", "expected 2023"],
  ["03/04/2023", "is not a time", "write the year first, 2023-04-03 or 2023-03-04"],
  ["7.7.2023", "is not a time", "write the year first: 2023-07-07"],
  ["last week", "is not a time", '"7 days ago"'],
  ["23-07", "is not a time", "expected 2023"],
  ["", "is not a time", "expected 2023"],
  ["2023-07/14", "is not a time", "expected 2023"],
  ["99999999999 days ago", "is not a time", "expected 2023"],
  ["9999 years ago", "is too long ago", "expected 2023"],
  ["2023-07-14T18:02Z", "is not a time", "expected 2023"],
])("%s is refused", (text, message, hint) => {
  expect(() => span(text)).toThrow(
    expect.objectContaining({
      constructor: UserError,
      message: expect.stringMatching(new RegExp(`^--after ".*${message}`)),
      hint: expect.stringContaining(hint),
    }),
  )
})
