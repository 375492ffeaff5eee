/** A sample of what bench/fuzz-readers.ts does at length, in a process of its own, whose memory it measures. */
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { expect, test } from "vitest"
import { type FormatName, formats } from "../bench/fuzz-readers.ts"

const bench = fileURLToPath(new URL("../dist/bench/fuzz-readers.js", import.meta.url))

test.each(Object.keys(formats) as FormatName[])("500 damaged files of %s", async (name) => {
  const { stdout } = await promisify(execFile)(process.execPath, [bench, "500", "3", name])
  const found = /^\w+: 500 files, (\d+) refused, (\d+) read; .* memory at most ([\d.]+) times/.exec(stdout)
  const [refused, read, memory] = found!.slice(1).map(Number) as [number, number, number]
  expect(refused + read).toBe(500)
  expect(refused).toBeGreaterThan(250)
  expect(read).toBeGreaterThan(0)
  expect(memory).toBeLessThanOrEqual(formats[name].times)
})
