/** The captions of a picture that has a file of its own. */
import { decodeText, textLines } from "../../../core/text/decode-text.ts"
import { readBytesIfThere } from "../../../host/files/files.ts"
import { checkText, cutText } from "../../reinforced/sample-budget.ts"
import type { SampleLocation } from "./location.ts"

/** Bytes of a caption file: over 1,000 captions of usual length. */
const largestFile = 2 ** 20

/**
 * The given captions, or the lines of the caption file; none where it is missing. Blank ones are left out, and only the
 * beginning of very long ones is kept. Throws UserError where the file is too large.
 */
export async function readCaptions(captions: Extract<SampleLocation, { kind: "file" }>["captions"]): Promise<string[]> {
  const texts = "file" in captions ? await linesOf(captions.file) : captions
  return texts.map((text) => cutText(text.trim())).filter((text) => text !== "")
}

async function linesOf(path: string): Promise<readonly string[]> {
  const bytes = await readBytesIfThere(path, (size) => checkText(size, path, largestFile))
  return bytes ? textLines(decodeText(bytes, path)) : []
}
