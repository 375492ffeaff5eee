import { expect, test } from "vitest"
import type { TaskAnswers } from "../../evaluate/metrics/task-metrics.ts"
import type { PictureRecord } from "../pictures/encode-pictures.ts"
import { answerTable } from "./answer-table.ts"

const record = (given: Partial<PictureRecord> = {}): PictureRecord => ({
  ...{ key: "s", label: null, texts: [], metadata: null, associations: null, pictures: [0] },
  ...given,
})

/** Rows of the table. */
function rowsOf(answers: TaskAnswers, records: readonly PictureRecord[] = [], mainMetric: string | null = null) {
  const { answers: count, columns, values } = answerTable(mainMetric, answers, records)
  return Array.from({ length: count }, (_, i) => [...values.subarray(i * columns, (i + 1) * columns)])
}

const predictions = {
  classes: 6,
  labels: Int32Array.of(4, 5),
  best: Int32Array.of(0, 1, 2, 3, 4, 5, 0, 1, 2, 3),
  kept: 5,
}

test("classification: the class, whether the main metric counts it, and the best classes", () => {
  const answers = { kind: "classification", predictions, metadata: null } as const
  expect(rowsOf(answers, [], "acc1")).toEqual([
    [4, 0, 0, 1, 2, 3, 4],
    [5, 1, 5, 0, 1, 2, 3],
  ])
  expect(rowsOf(answers, [], "acc_top5_wg").map(([, isRight]) => isRight)).toEqual([1, 1])
})

test("groups are the first column of the metadata, for main metrics of the worst group alone", () => {
  const records = [record({ metadata: [3, 8, 9] }), record({ metadata: [1, 8, 9] })]
  const answers = { kind: "classification", predictions, metadata: records.map(({ metadata }) => metadata!) } as const
  for (const metric of ["acc_wg", "acc_worst_region"])
    expect(answerTable(metric, answers, records).groups).toEqual(Int32Array.of(3, 1))
  expect(answerTable("acc1", answers, records).groups).toBeNull()
  expect(answerTable("acc_wg", answers, [records[0]!, record()]).groups).toBeNull()
})

test("attributes: the classes of race, gender, age and toxic", () => {
  const of = (...values: number[]) => Int32Array.from(values)
  const predictions = { race: of(1, 2), gender: of(3, 4), age: of(5, 6), toxic: of(7, 8) }
  expect(rowsOf({ kind: "attributes", predictions, metadata: [] })).toEqual([
    [-1, 0, 1, 3, 5, 7],
    [-1, 0, 2, 4, 6, 8],
  ])
})

test("several classes: whether the best one is the picture's", () => {
  const scores = Float32Array.of(0.1, 0.9, 0.2, 0.8, 0.3, 0.4)
  const targets = Uint8Array.of(0, 1, 0, 0, 1, 1)
  expect(rowsOf({ kind: "multilabel", scores, targets, classes: 3 })).toEqual([
    [-1, 1, 1],
    [-1, 0, 0],
  ])
})

test("retrieval: pictures, then captions by their picture; a match is right at the first place alone", () => {
  const ranks = { imageToText: Float64Array.of(0, 1), textToImage: Float64Array.of(0, 1, 0) }
  const records = [record({ texts: ["a", "b"] }), record({ texts: ["c"] })]
  expect(rowsOf({ kind: "retrieval", ranks }, records)).toEqual([
    [0, 1],
    [1, 0],
    [0, 1],
    [0, 0],
    [1, 1],
  ])
})

test("caption selection: right where picture and caption find each other", () => {
  const answers = [
    { image: true, text: true },
    { image: false, text: true },
  ]
  expect(rowsOf({ kind: "caption-selection", answers })).toEqual([
    [0, 1],
    [0, 0],
  ])
})

test("association: candidates, whether all are right, and millionths of the Jaccard index", () => {
  const answers = [
    { candidates: 5, jaccard: 1 },
    { candidates: 12, jaccard: 1 / 3 },
  ]
  expect(rowsOf({ kind: "association", answers })).toEqual([
    [5, 1, 1_000_000],
    [12, 0, 333_333],
  ])
})
