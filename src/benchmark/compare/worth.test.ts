import { expect, test } from "vitest"
import { factsOf } from "./estimate.ts"
import { worthOf } from "./worth.ts"

const facts = (metric: string) => ({ metric, answers: 6, images: 6, classes: 3, chance: null })

// Classes of 3, 2 and 1 pictures; nobody shows class 3, and one picture is taken for it.
const answers = {
  labels: Int32Array.of(0, 0, 0, 1, 1, 2),
  right: Uint8Array.of(1, 1, 0, 1, 0, 0),
  predicted: Int32Array.of(0, 0, 1, 1, 3, 0),
  groups: null,
}

test("associations of an own run are counted by its instances, which share pictures", () => {
  const metrics = { avg_jaccard_score: 0.3, "jaccard_score_5-6": 0.5, "jaccard_score_10-12": 0.1 }
  const own = { kind: "association", mainMetric: "jaccard_score_10-12", answers: 60, images: 211 } as const
  const details = { ...own, classes: null, chance: null, seconds: 1, cachedImages: 0 }
  const facts = factsOf({ key: "my/pairs", dataset: "Pairs", metrics, details })!
  expect(facts.answers).toBe(30)
  expect(worthOf(facts, metrics, null)!.most).toBe(1 / 30)
  // Of published results the number of instances is known alone.
  expect(factsOf({ key: "misc/winogavil", dataset: "WinoGAViL", metrics })!.answers).toBe(1782)
})

test("a class of one picture makes its answer worth a whole class", () => {
  const worth = worthOf(facts("mean_per_class_recall"), {}, answers)!
  expect([worth.usual, worth.most]).toEqual([1 / 6, 1 / 3])
})

test("for macro F1 each wrong answer is put right, and what that changes is counted in both classes", () => {
  const worth = worthOf(facts("F1-macro_all"), {}, answers)!
  // Class 0: 2 right, 3 shown, 3 said. Class 1: 1, 2, 2. Class 2: 0, 1, 0.
  const gains = [
    6 / 7 - 4 / 6 + (2 / 3 - 2 / 4), // picture 2: class 0 has one more, class 1 is said once less
    4 / 5 - 2 / 4, // picture 4: class 3, which is not shown, does not count
    2 / 2 - 0 + (4 / 5 - 4 / 6), // picture 5
  ].map((gain) => gain / 3)
  expect(worth.most).toBeCloseTo(gains[2]!, 12)
  expect(worth.usual).toBeCloseTo(gains[0]!, 12)
})

test("without answers it is what the metrics say", () => {
  const groups = { "acc_region:0": 0.5, "count_region:0": 40, "acc_region:1": 0.75, "count_region:1": 4 }
  expect(worthOf(facts("acc_worst_region"), groups, null)).toEqual({
    ...{ usual: 1 / 40, most: 1 / 4 },
    note: "in the worst group (region:0); in the smallest (region:1, 4 pictures)",
  })
  expect(worthOf(facts("acc1"), {}, null)).toEqual({ usual: 1 / 6, most: 1 / 6, note: "" })
})
