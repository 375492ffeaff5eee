/** The format of a source: found by its name and, for JSONL, by its first line. */
import { readdir, stat } from "node:fs/promises"
import { UserError } from "../../../core/errors.ts"
import { isObject } from "../../../core/json.ts"
import { requireFile } from "../../../host/files/files.ts"
import { isTfrecord, requireNoPipe, splitList } from "../../expand.ts"
import { parseExactJson } from "../../json-text.ts"
import { readLines } from "../../reinforced/jsonl/lines.ts"
import { jsonArray } from "../../reinforced/read.ts"
import { pathOf } from "../../stores/local.ts"
import { isLocal } from "../../stores/open.ts"
import type { SourceFormat } from "../config.ts"
import { imagePathOf } from "./pairs.ts"

/** Throws UserError where the source does not exist. */
export async function detectFormat(source: string): Promise<SourceFormat> {
  requireNoPipe(source)
  await requireShards(splitList(source))
  if (/::|[{}]|info\.json$/.test(source) || !isLocal(source)) return "shards"
  const path = pathOf(source)
  const found = await stat(path).catch(() => null)
  if (!found)
    throw new UserError(
      `${source}: no such file or folder`,
      "check the path: shards, a folder, a CSV or a JSONL file is read",
    )
  if (!found.isDirectory()) await requireFile(path)
  if (found.isDirectory()) return (await holdsShards(path)) ? "shards" : "folder"
  if (/\.(csv|tsv|txt)$/i.test(path)) return "csv"
  return /\.(jsonl?|ndjson)$/i.test(path) && (await listsPictures(path)) ? "jsonl" : "shards"
}

/** Throws UserError where a list of pictures is one of several. */
async function requireShards(parts: readonly string[]): Promise<void> {
  if (parts.length < 2) return
  for (const part of parts) {
    if (!isLocal(part) || !(await isPictureList(pathOf(part)))) continue
    throw new UserError(
      `${part}: a list of pictures stands alone, and only shards are joined by ::`,
      "put the rows into one list, or pack each list into shards (mobileclip shards)",
    )
  }
}

/** False where there is no such file. */
async function isPictureList(path: string): Promise<boolean> {
  if (/\.(csv|tsv|txt)$/i.test(path)) return true
  const found = /\.(jsonl?|ndjson)$/i.test(path) ? await stat(path).catch(() => null) : null
  return found?.isFile() === true && (await listsPictures(path))
}

async function holdsShards(folder: string): Promise<boolean> {
  const names = await readdir(folder)
  return names.some(
    (name) => /^[^.].*\.(tar|tgz|tar\.(gz|zstd?|bz2|xz)|jsonl|jsonl\.(gz|zst|zstd))$/.test(name) || isTfrecord(name),
  )
}

/** Whether its first line has the path of a picture, and not the picture. Throws UserError where all is one JSON array. */
async function listsPictures(path: string): Promise<boolean> {
  for await (const { text } of readLines(path, "none")) {
    if (text === null || text.trim() === "") continue
    if (text.trimStart().startsWith("[")) throw jsonArray(path)
    try {
      const value = parseExactJson(text)
      return isObject(value) && imagePathOf(value) !== null
    } catch {
      return false
    }
  }
  return false
}
