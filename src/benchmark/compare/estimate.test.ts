import { expect, test } from "vitest"
import { wilson } from "../../evaluate/wilson.ts"
import { binomialInterval, groupsOf } from "./estimate.ts"
import { meanInterval } from "./intervals.ts"

const facts = { metric: "acc1", answers: 500, images: 100, classes: 10, chance: null }

test("an accuracy has the interval of its answers, macro F1 that of its classes, and others have none", () => {
  expect(binomialInterval(0.7, facts, {})).toEqual(wilson(0.7, 500))
  expect(binomialInterval(0.7, { ...facts, metric: "F1-macro_all" }, {})).toEqual(wilson(0.7, 10))
  expect(binomialInterval(0.7, { ...facts, metric: "F1-macro_all", classes: null }, {})).toBeNull()
  expect(binomialInterval(0.7, { ...facts, metric: "mean_average_precision" }, {})).toBeNull()
})

test("recall: as many queries as pictures to text, and as captions to pictures", () => {
  const metrics = { "image_retrieval_recall@1": 0.5, "text_retrieval_recall@1": 0.8 }
  const expected = meanInterval([
    { value: 0.5, interval: wilson(0.5, 400) },
    { value: 0.8, interval: wilson(0.8, 100) },
  ])
  expect(binomialInterval(0.65, { ...facts, metric: "mean_recall@1" }, metrics)).toEqual(expected)
})

test("the worst group's reaches from the lowest lower to the lowest upper end", () => {
  const metrics = { "acc_region:0": 0, "count_region:0": 4, "acc_region:1": 0.2, "count_region:1": 1000, acc_wg: 0 }
  expect(groupsOf("acc_worst_region", metrics).map(({ name }) => name)).toEqual(["region:0", "region:1"])
  expect(binomialInterval(0, { ...facts, metric: "acc_worst_region" }, metrics)).toEqual({
    low: 0,
    high: wilson(0.2, 1000).high,
  })
})
