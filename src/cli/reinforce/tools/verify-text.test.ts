import { expect, test } from "vitest"
import { verifyText } from "./verify-text.ts"

test("why nothing was made again", () => {
  const report = { shards: 1, samples: 2, recorded: null, teacherWidths: null, recomputed: null, problems: [] }
  const lines = (wanted: number) => verifyText(report, wanted).split("\n")
  expect(lines(0)).toEqual([
    "1 shard (no records to compare with), 2 samples",
    "nothing was made again: --samples is 0",
    "all is well",
  ])
  expect(lines(32)[1]).toBe("nothing was made again: no models")
})
