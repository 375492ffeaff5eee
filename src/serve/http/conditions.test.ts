import { expect, test } from "vitest"
import { askedOf } from "./conditions.ts"

const tag = '"a,b"'
const asked = (headers: Record<string, string>, method = "GET", size = 1000) =>
  askedOf({ method, headers: new Headers(headers) }, tag, size)
const part = (start: number, end: number) => ({ what: "part", start, end })
const [whole, unchanged, failed] = [{ what: "whole" }, { what: "unchanged" }, { what: "failed" }]
const unsatisfiable = { what: "unsatisfiable" }

test.each([
  ["bytes=0-", part(0, 999)],
  ["bytes=0-0", part(0, 0)],
  ["bytes=0-499", part(0, 499)],
  ["bytes=500-999", part(500, 999)],
  ["BYTES=999-", part(999, 999)],
  ["bytes= 1-2 ", part(1, 2)],
  // What is longer than the file ends with it, at either end.
  ["bytes=500-1000000", part(500, 999)],
  ["bytes=-500", part(500, 999)],
  ["bytes=-1000000", part(0, 999)],
  [`bytes=1-${"9".repeat(400)}`, part(1, 999)],
  // None of it is there.
  ["bytes=1000-", unsatisfiable],
  ["bytes=1000-2000", unsatisfiable],
  ["bytes=-0", unsatisfiable],
  [`bytes=${"9".repeat(400)}-`, unsatisfiable],
  // These are not ranges, are of another unit, or are several.
  ["bytes=2-1", whole],
  ["bytes=2000-1000", whole],
  ["bytes=-", whole],
  ["bytes=", whole],
  ["bytes=a-b", whole],
  ["bytes=1.5-2", whole],
  ["bytes=+1-2", whole],
  ["bytes=0x1-0x2", whole],
  ["bytes 0-1", whole],
  ["pages=0-1", whole],
  ["0-1", whole],
  ["bytes=0-1,5-6", whole],
])("%s", (range, expected) => expect(asked({ range })).toEqual(expected))

test("an empty file has no part", () => {
  expect(asked({ range: "bytes=0-" }, "GET", 0)).toEqual(unsatisfiable)
  expect(asked({ range: "bytes=-1" }, "GET", 0)).toEqual(whole)
})

test("HEAD has no ranges", () => expect(asked({ range: "bytes=0-1" }, "HEAD")).toEqual(whole))

test.each([
  [tag, unchanged],
  [`W/${tag}`, unchanged],
  [`"c", W/"d",${tag}`, unchanged],
  ["*", unchanged],
  ['"c"', whole],
  ['"a", "b"', whole],
  ['"A,B"', whole],
  ["a,b", whole],
  ["", whole],
])("If-None-Match: %s", (tags, expected) => {
  for (const method of ["GET", "HEAD"]) expect(asked({ "if-none-match": tags }, method)).toEqual(expected)
})

test.each([
  [tag, whole],
  ["*", whole],
  [`"c", ${tag}`, whole],
  [`W/${tag}`, failed],
  ['"c"', failed],
])("If-Match: %s", (tags, expected) => expect(asked({ "if-match": tags })).toEqual(expected))

test.each([
  [tag, part(10, 999)],
  [`W/${tag}`, whole],
  ['"c"', whole],
  ["Tue, 15 Nov 1994 12:45:26 GMT", whole],
])("If-Range: %s", (validator, expected) => {
  expect(asked({ "if-range": validator, range: "bytes=10-" })).toEqual(expected)
  expect(asked({ "if-range": validator })).toEqual(whole)
})

test("conditions come before ranges, If-Match first; dates are ignored, as files have none", () => {
  const range = "bytes=2000-"
  expect(asked({ range, "if-none-match": tag })).toEqual(unchanged)
  expect(asked({ range, "if-match": '"c"', "if-none-match": tag })).toEqual(failed)
  expect(asked({ range, "if-match": tag, "if-none-match": '"c"' })).toEqual(unsatisfiable)
  expect(asked({ range, "if-range": '"c"' })).toEqual(whole)
  const date = "Tue, 15 Nov 1994 12:45:26 GMT"
  expect(asked({ "if-modified-since": date, "if-unmodified-since": date })).toEqual(whole)
})
