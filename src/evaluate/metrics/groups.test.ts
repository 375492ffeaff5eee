import { expect, test } from "vitest"
import { accuracyByGroup, groupMetrics, worstRegionWithoutOther } from "./groups.ts"
import type { Predictions } from "./predictions.ts"

/** Right or wrong answers among two classes. */
function answers(hits: readonly number[]): Predictions {
  const labels = Int32Array.from(hits, () => 1)
  return { classes: 2, labels, best: Int32Array.from(hits), kept: 1 }
}

test("groups without pictures are listed, and are not the worst", () => {
  const hits = Uint8Array.of(1, 0, 1, 1)
  expect(accuracyByGroup("acc", hits, [[0], [0], [2], [2]], ["slide"], ["slide"])).toEqual({
    acc_avg: 0.75,
    "acc_slide:0": 0.5,
    "count_slide:0": 2,
    "acc_slide:1": null,
    "count_slide:1": 0,
    "acc_slide:2": 1,
    "count_slide:2": 2,
    acc_wg: 0.5,
  })
})

test("of two fields the first varies fastest and is named last", () => {
  const metadata = [
    [0, 1],
    [1, 0],
    [1, 1],
  ]
  const metrics = accuracyByGroup("acc", Uint8Array.of(1, 1, 0), metadata, ["gender", "race"], ["gender", "race"])
  expect(Object.keys(metrics).filter((name) => name.startsWith("acc_race"))).toEqual([
    "acc_race:0_gender:0",
    "acc_race:0_gender:1",
    "acc_race:1_gender:0",
    "acc_race:1_gender:1",
  ])
  expect(metrics).toMatchObject({ "acc_race:0_gender:0": null, "acc_race:1_gender:0": 1, "acc_race:1_gender:1": 0 })
})

test("FMoW's sixth region counts as published, and a second metric leaves it out", () => {
  // Regions 0 and 5, years 0 and 1: region 5 is always wrong.
  const metadata = [
    [0, 0, 1],
    [0, 1, 1],
    [5, 0, 1],
  ]
  const metrics = groupMetrics("fmow", answers([1, 0, 0]), metadata)
  expect(metrics).toMatchObject({
    "acc_year:0": 0.5,
    acc_worst_year: 0,
    acc_worst_region: 0,
    acc_worst_region_without_other: 0.5,
    "count_region:5": 1,
  })
  expect(worstRegionWithoutOther({ acc1: 1 })).toBeNull()
})

test("Dollar Street counts hits among the best five", () => {
  const predictions = {
    classes: 9,
    labels: Int32Array.of(4, 4),
    best: Int32Array.of(8, 7, 6, 5, 4, 8, 7, 6, 5, 3),
    kept: 5,
  }
  const metadata = [
    [0, 9, 9],
    [1, 9, 9],
  ]
  expect(groupMetrics("dollar_street", predictions, metadata)).toMatchObject({
    acc_top5_avg: 0.5,
    "acc_top5_income_ds:0": 1,
    acc_top5_wg: 0,
  })
})

test("metadata that are missing or are not numbers of groups are named", () => {
  const by = (metadata: number[][] | null) => () => groupMetrics("geode", answers([1, 1]), metadata)
  expect(by(null)).toThrow("the pictures have no metadata")
  expect(by([[0, 0]])).toThrow("1 rows of metadata for 2 pictures")
  expect(by([[0, 0], []])).toThrow("metadata of picture 2: region (column 1) is missing")
  for (const value of [-1, 0.5, Number.NaN, 1e9])
    expect(
      by([
        [value, 0],
        [0, 0],
      ]),
    ).toThrow(`metadata of picture 1: region (column 1) is ${value}`)
  const many = [[5000], [5000]].map((row) => [...row, 5000])
  expect(() => accuracyByGroup("acc", Uint8Array.of(1, 1), many, ["a", "b"], ["a", "b"])).toThrow(
    "25010001 groups of a and b",
  )
})
