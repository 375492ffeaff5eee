/** The labels of `mobileclip classify`: from the command line or from a file. */
import type { Command } from "commander"
import { UserError } from "../../core/errors.ts"
import { decodeText, textLines } from "../../core/text/decode-text.ts"
import { readBytes } from "../../host/files/files.ts"

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
    return unique(labels.split(","), "--labels", "separate labels by commas: --labels cat,dog")
  }
  if (labels !== undefined) command.error("error: give either --labels or --labels-file")
  const text = decodeText(await readBytes(labelsFile), labelsFile)
  return unique(textLines(text), labelsFile, "put one label on each line")
}

function unique(labels: readonly string[], source: string, hint: string): string[] {
  const result = [...new Set(labels.map((label) => label.trim()))].filter((label) => label !== "")
  if (result.length === 0) throw new UserError(`${source} holds no labels`, hint)
  return result
}
