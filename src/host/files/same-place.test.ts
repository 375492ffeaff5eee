import { expect, test } from "vitest"
import { isSamePlace } from "./same-place.ts"

test.each([
  ["models/a", "models/a", true],
  ["models/a", "../models/a", true],
  ["./models/a", "/home/x/models/a", true],
  ["../../models//a", "/home/x/models/a", true],
  ["/home/x/models/a", "models/a", true],
  ["s3://b/in/0.tar", "s3://b/in/0.tar", true],
  ["models/a/", "models/a", true],
  ["models/a", "/home/x/models/a/", true],
  [".", "/home/x/models/a", true],
  ["models/a", "..", true],
  ["", "models/a", false],
  ["", ".", false],
  ["", "", true],
  ["models/a", "models/b", false],
  ["els/a", "models/a", false],
  ["models/a", "other/a", false],
  ["/x/models/a", "/y/models/a", false],
  ["in/0.tar", "/data/main/0.tar", false],
])("%s and %s", (a, b, same) => {
  expect(isSamePlace(a, b)).toBe(same)
})
