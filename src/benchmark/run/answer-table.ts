/**
 * What a model answered, answer by answer, for intervals and for tools: int32 [answers, 2 + k] of the label, whether the main
 * metric counts the answer as right, and the classes it took first.
 *
 * - classification: the class, and up to five predicted ones;
 * - attributes: -1, 0, and the classes of race, gender, age and toxic;
 * - multilabel: -1, and whether the best class is one of the picture's, which follows;
 * - retrieval: pictures first, then captions: the picture's number, and whether a match is first;
 * - caption-selection: 0, and whether the right caption won;
 * - association: the number of candidates, whether exactly the right ones were chosen, and the Jaccard index in millionths.
 */
import { assert } from "../../core/errors.ts"
import { rightAnswers, type TaskAnswers } from "../../evaluate/metrics/task-metrics.ts"
import type { PictureRecord } from "../pictures/encode-pictures.ts"

export interface AnswerTable {
  readonly answers: number
  /** Numbers in a row, 2 + k. */
  readonly columns: number
  /** [answers, columns] */
  readonly values: Int32Array
  /** The group of each answer, where the main metric is of groups; else null. */
  readonly groups: Int32Array | null
}

export function answerTable(
  mainMetric: string | null,
  answers: TaskAnswers,
  records: readonly PictureRecord[],
): AnswerTable {
  const groups = isByGroup(mainMetric) && records.every(({ metadata }) => metadata !== null)
  return {
    ...tableOf(rowsOf(mainMetric, answers, records)),
    groups: groups ? Int32Array.from(records, ({ metadata }) => metadata![0]!) : null,
  }
}

/** Regions, incomes and the groups of one's own data are the first column of the metadata. */
function isByGroup(mainMetric: string | null): boolean {
  return mainMetric !== null && /_(wg|worst_\w+)$/.test(mainMetric)
}

function tableOf(rows: readonly (readonly number[])[]) {
  const columns = rows[0]?.length ?? 2
  const values = new Int32Array(rows.length * columns)
  rows.forEach((row, i) => {
    assert(row.length === columns, `${row.length} columns of ${columns}`)
    values.set(row, i * columns)
  })
  return { answers: rows.length, columns, values }
}

function rowsOf(mainMetric: string | null, answers: TaskAnswers, records: readonly PictureRecord[]): number[][] {
  switch (answers.kind) {
    case "classification": {
      const { labels, best, kept } = answers.predictions
      const right = rightAnswers({ mainMetric }, answers.predictions)
      return Array.from(labels, (label, i) => [label, right[i]!, ...best.subarray(i * kept, (i + 1) * kept)])
    }
    case "attributes": {
      const { race, gender, age, toxic } = answers.predictions
      return Array.from(race, (value, i) => [-1, 0, value, gender[i]!, age[i]!, toxic[i]!])
    }
    case "multilabel":
      return multilabelRows(answers)
    case "retrieval": {
      const { imageToText, textToImage } = answers.ranks
      const pictures = records.map((_, image) => [image, imageToText[image]! < 1 ? 1 : 0])
      const images = records.flatMap(({ texts }, image) => texts.map(() => image))
      return [...pictures, ...images.map((image, text) => [image, textToImage[text]! < 1 ? 1 : 0])]
    }
    case "caption-selection":
      return answers.answers.map(({ image, text }) => [0, image && text ? 1 : 0])
    case "association":
      return answers.answers.map(({ candidates, jaccard }) => [
        candidates,
        jaccard === 1 ? 1 : 0,
        Math.round(jaccard * 1e6),
      ])
    default:
      return answers satisfies never
  }
}

function multilabelRows({ scores, targets, classes }: Extract<TaskAnswers, { kind: "multilabel" }>): number[][] {
  return Array.from({ length: scores.length / classes }, (_, picture) => {
    const own = scores.subarray(picture * classes, (picture + 1) * classes)
    const best = own.reduce((most, score, c) => (score > own[most]! ? c : most), 0)
    return [-1, targets[picture * classes + best]!, best]
  })
}
