/** The format of a source: found by its name and, for JSONL, by its first line. */
import { readdir, stat } from "node:fs/promises"
import { UserError } from "../../../core/errors.ts"
import { isObject } from "../../../core/json.ts"
import { requireFile } from "../../../host/files/files.ts"
import { isTfrecord } from "../../expand.ts"
import { parseJsonText } from "../../json-text.ts"
import { readLines } from "../../reinforced/jsonl/lines.ts"
import { pathOf } from "../../stores/local.ts"
import { isUrl } from "../../stores/open.ts"
import type { SourceFormat } from "../config.ts"
import { imagePathOf } from "./pairs.ts"

/** Throws UserError where the source does not exist. */
export async function detectFormat(source: string): Promise<SourceFormat> {
  if (/::|[{}]|info\.json$/.test(source) || (isUrl(source) && !/^file:/i.test(source))) return "shards"
  const path = pathOf(source)
  const found = await stat(path).catch(() => null)
  if (!found) throw new UserError(`${source}: no such file or folder`, "name shards, a folder, a CSV or a JSONL file")
  if (!found.isDirectory()) await requireFile(path)
  if (found.isDirectory()) return (await holdsShards(path)) ? "shards" : "folder"
  if (/\.(csv|tsv|txt)$/i.test(path)) return "csv"
  return /\.jsonl$/i.test(path) && (await listsPictures(path)) ? "jsonl" : "shards"
}

async function holdsShards(folder: string): Promise<boolean> {
  const names = await readdir(folder)
  return names.some((name) => /^[^.].*\.(tar|jsonl|jsonl\.(gz|zst|zstd))$/.test(name) || isTfrecord(name))
}

/** Whether its first line has the path of a picture, and not the picture. */
async function listsPictures(path: string): Promise<boolean> {
  for await (const { text } of readLines(path, "none")) {
    if (text === null || text.trim() === "") continue
    try {
      const value = parseJsonText(text)
      return isObject(value) && imagePathOf(value) !== null
    } catch {
      return false
    }
  }
  return false
}
