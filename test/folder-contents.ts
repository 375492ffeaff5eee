/** What is in a folder, whole: every path with a digest, so that two folders can be compared in every respect. */
import { createHash } from "node:crypto"
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs"
import { dirname, join, relative } from "node:path"

/** What legitimately differs between two runs that do the same. */
export interface Differing {
  /** Files of which only is compared whether there is one: their names or bytes have times in them. */
  readonly files: readonly RegExp[]
  /** Keys of JSON whose values are times, at any depth. */
  readonly keys: readonly string[]
}

export type Contents = ReadonlyMap<string, string>

/** Paths in it with digests of what they are; folders end in a slash, links have their target. */
export function contentsOf(folder: string, differing: Differing = { files: [], keys: [] }): Contents {
  const contents = new Map<string, string>()
  if (!existsSync(folder)) return contents
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    const name = relative(folder, path)
    if (entry.isDirectory()) contents.set(`${name}/`, "folder")
    else if (entry.isSymbolicLink()) contents.set(name, `link to ${readlinkSync(path)}`)
    else if (differing.files.some((pattern) => pattern.test(name)))
      contents.set(patternOf(name, differing), "one or more")
    else contents.set(name, digest(comparable(name, readFileSync(path), differing.keys)))
  }
  return contents
}

/** One name for all files of one pattern. */
function patternOf(name: string, { files }: Differing): string {
  const { source } = files.find((pattern) => pattern.test(name))!
  return join(dirname(name), source)
}

function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex")
}

/** JSON without its times; a file that should be JSON and is not is compared as it is. */
function comparable(name: string, bytes: Buffer, keys: readonly string[]): Buffer {
  if (keys.length === 0 || !/\.jsonl?$/.test(name)) return bytes
  const documents = name.endsWith("l") ? bytes.toString().split("\n") : [bytes.toString()]
  return Buffer.from(documents.map((text) => withoutKeys(text, keys)).join("\n"))
}

function withoutKeys(text: string, keys: readonly string[]): string {
  try {
    return JSON.stringify(JSON.parse(text, (key, value) => (keys.includes(key) ? "a time" : value)))
  } catch {
    return text
  }
}
