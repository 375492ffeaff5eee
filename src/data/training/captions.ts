/** The captions of a picture that has a file of its own. */
import { readFile } from "node:fs/promises"
import type { Place } from "./place.ts"

/** Those given, or the lines of the caption file; none where that is missing. Blank ones say nothing and are left out. */
export async function readCaptions(captions: Extract<Place, { kind: "file" }>["captions"]): Promise<string[]> {
  const texts = "file" in captions ? await linesOf(captions.file) : captions
  return texts.map((text) => text.trim()).filter((text) => text !== "")
}

async function linesOf(path: string): Promise<readonly string[]> {
  try {
    return (await readFile(path, "utf8")).split(/\r?\n/)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return []
    throw error
  }
}
