/** What `mobileclip classify` reads, labels from the command line or from a file, and what it prints. */
import { existsSync } from "node:fs"
import type { Command } from "commander"
import { UserError } from "../core/errors.ts"
import { decodeText, textLines } from "../core/text/decode-text.ts"
import { readBytes } from "../host/files/files.ts"
import { percent } from "../report/numbers.ts"
import type { LabelScore } from "../run/classify.ts"
import { type Column, textTable } from "./table.ts"

export interface LabelOptions {
  /** Separated by commas. */
  readonly labels?: string
  /** One on each line. */
  readonly labelsFile?: string
}

/** Each label once, in order. Both options or neither is wrong usage; no label in them is a UserError. */
export async function readLabels({ labels, labelsFile }: LabelOptions, command: Command): Promise<string[]> {
  if (labelsFile === undefined) {
    if (labels === undefined) command.error("error: give the labels, with --labels or --labels-file")
    requireNotFile(labels)
    return unique(labels.split(","), "--labels", "separate labels by commas: --labels cat,dog")
  }
  if (labels !== undefined) command.error("error: give either --labels or --labels-file")
  const text = decodeText(await readBytes(labelsFile), labelsFile)
  return unique(textLines(text), labelsFile, "put one label on each line")
}

/** A path in place of labels would be a label by itself, with 100 %. */
function requireNotFile(labels: string): void {
  if (!/\.\w+$/.test(labels) || !existsSync(labels)) return
  throw new UserError(
    `${labels} is a file, and --labels takes the labels themselves`,
    `--labels-file ${labels} reads it`,
  )
}

function unique(labels: readonly string[], source: string, hint: string): string[] {
  const result = [...new Set(labels.map((label) => label.trim()))].filter((label) => label !== "")
  if (result.length === 0) throw new UserError(`${source} holds no labels`, hint)
  return result
}

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
