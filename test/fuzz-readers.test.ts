/** A sample of what bench/fuzz-readers.ts does at length. */
import { expect, test } from "vitest"
import { type FormatName, formats, fuzz } from "../bench/fuzz-readers.ts"

test.each(Object.keys(formats) as FormatName[])("500 damaged files of %s", async (name) => {
  const { refused, read, memory } = await fuzz(name, 500, 3)
  expect(refused + read).toBe(500)
  expect(refused).toBeGreaterThan(250)
  expect(read).toBeGreaterThan(0)
  expect(memory).toBeLessThanOrEqual(formats[name].times)
})
