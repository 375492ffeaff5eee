/** What `mobileclip classify` prints. */

import { percent } from "../../report/numbers.ts"
import type { LabelScore } from "../../run/classify.ts"
import { type Column, textTable } from "../table.ts"

export interface Result {
  /** Path of the picture. */
  readonly image: string
  /** The best first. */
  readonly labels: readonly LabelScore[]
}

const columns: readonly Column[] = [
  { title: "image" },
  { title: "label" },
  { title: "score", align: "right" },
  { title: "cosine", align: "right" },
]

/** A row per label; a picture's path stands at its best one. */
export function resultTable(results: readonly Result[]): string {
  const rows = results.flatMap(({ image, labels }) =>
    labels.map(({ label, score, cosine }, i) => [i ? "" : image, label, percent(score), cosine.toFixed(3)]),
  )
  return textTable(columns, rows)
}
