/** The captions of a picture that has a file of its own. */
import { readBytesIfThere } from "../../../host/files/files.ts"
import { checkText, cutText } from "../../reinforced/sample-budget.ts"
import type { SampleLocation } from "./location.ts"

/** In bytes: over 1,000 captions of usual length. */
const longestFile = 2 ** 20

/**
 * Those given, or the lines of the caption file; none where that is missing. Blank ones say nothing and are left out,
 * and of very long ones only the beginning is kept. Throws UserError where the file is larger than any.
 */
export async function readCaptions(captions: Extract<SampleLocation, { kind: "file" }>["captions"]): Promise<string[]> {
  const texts = "file" in captions ? await linesOf(captions.file) : captions
  return texts.map((text) => cutText(text.trim())).filter((text) => text !== "")
}

async function linesOf(path: string): Promise<readonly string[]> {
  const bytes = await readBytesIfThere(path, (size) => checkText(size, path, longestFile))
  return bytes ? Buffer.from(bytes).toString("utf8").split(/\r?\n/) : []
}
