/** The captions of a picture that has a file of its own. */
import { readBytesIfThere } from "../../host/files.ts"
import type { Place } from "./place.ts"

/** Those given, or the lines of the caption file; none where that is missing. Blank ones say nothing and are left out. */
export async function readCaptions(captions: Extract<Place, { kind: "file" }>["captions"]): Promise<string[]> {
  const texts = "file" in captions ? await linesOf(captions.file) : captions
  return texts.map((text) => text.trim()).filter((text) => text !== "")
}

async function linesOf(path: string): Promise<readonly string[]> {
  const bytes = await readBytesIfThere(path)
  return bytes ? Buffer.from(bytes).toString("utf8").split(/\r?\n/) : []
}
