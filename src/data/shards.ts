/**
 * WebDataset shards: tar archives in which files that share a path up to the first dot of their name, side by side, are
 * one sample (https://github.com/webdataset/webdataset). Files that have no extension are not part of any sample.
 */
import { isUtf8 } from "node:buffer"
import { createReadStream } from "node:fs"
import { type Extract, extract, type Header, type Pack, pack } from "tar-stream"
import { messageOf, quoted, UserError } from "../core/errors.ts"
import { isObject } from "../core/json.ts"
import { fileError } from "../host/files/file-error.ts"
import { openRandomAccess, requireFile, writeAtomically } from "../host/files/files.ts"
import { parseJson } from "./json-text.ts"
import { checkSampleSize, longestKey } from "./reinforced/sample-budget.ts"

export interface Sample {
  /** The path up to the first dot of the file name: `train/0001` for `train/0001.syn.json`. */
  readonly key: string
  /** The rest, in lower case and without the dot (`jpg`, `syn.json`), and the file's bytes. */
  readonly members: ReadonlyMap<string, Uint8Array>
}

const BLOCK = 512
const EPOCH = new Date(0)

/**
 * The samples of one shard in their order; POSIX (PAX) and GNU archives alike.
 * Throws a UserError on a missing, truncated, empty or foreign file and on a key that occurs twice.
 */
export async function* readShard(path: string): AsyncGenerator<Sample> {
  checkArchive(path)
  const seen = new Set<string>()
  let key: string | null = null
  let members = new Map<string, Uint8Array>()
  for await (const member of readMembers(path)) {
    if (member.key !== key) {
      if (key !== null) yield { key, members }
      key = member.key
      members = new Map()
      if (seen.has(key)) throw twice(path, key)
      seen.add(key)
    }
    if (members.has(member.extension)) throw twice(path, `${key}.${member.extension}`)
    members.set(member.extension, member.bytes)
    checkTotal(path, key, members)
  }
  if (key === null) throw new UserError(`${path} holds no samples`, "files such as 0001.jpg and 0001.txt were expected")
  yield { key, members }
}

function checkTotal(path: string, key: string, members: ReadonlyMap<string, Uint8Array>): void {
  try {
    checkSampleSize([...members.values()].map(({ length }) => length))
  } catch (error) {
    throw new UserError(`${path}: ${quoted(key)}: ${messageOf(error)}`)
  }
}

function twice(path: string, name: string): UserError {
  return new UserError(
    `${path}: ${quoted(name)} occurs twice`,
    "keys are unique, and the members of a sample lie side by side",
  )
}

/**
 * Writes one shard: members sorted by extension, owner 0, time 0, so equal samples give equal bytes. The file appears
 * when it is complete; an error of `samples` or of the disk leaves nothing.
 */
export async function writeShard(path: string, samples: AsyncIterable<Sample> | Iterable<Sample>): Promise<void> {
  await writeAtomically(path, shardChunks(samples))
}

/** The bytes of a shard, as `writeShard` writes them. */
export async function* shardChunks(samples: AsyncIterable<Sample> | Iterable<Sample>): AsyncGenerator<Uint8Array> {
  const archive = pack()
  addSamples(archive, samples).catch((error: Error) => archive.destroy(error))
  yield* archive as AsyncIterable<Uint8Array>
}

async function addSamples(archive: Pack, samples: AsyncIterable<Sample> | Iterable<Sample>): Promise<void> {
  for await (const { key, members } of samples) {
    for (const extension of [...members.keys()].sort()) {
      await addFile(archive, `${key}.${extension}`, members.get(extension)!)
    }
  }
  archive.finalize()
}

/** Resolves when the archive has taken the bytes, so that at most one file waits. */
function addFile(archive: Pack, name: string, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    archive.entry({ name, mtime: EPOCH }, bytes, (error) => (error ? reject(error) : resolve()))
  })
}

/** The `json` member of a sample, or null where there is none. Throws a UserError that begins with `name`. */
export function metadataOf({ members }: Sample, name: string): Readonly<Record<string, unknown>> | null {
  const bytes = members.get("json")
  if (!bytes) return null
  const value = parseJson(new TextDecoder().decode(bytes), `${name}: the json member`)
  if (isObject(value)) return value
  throw new UserError(`${name}: the json member is not an object`)
}

interface Member {
  readonly key: string
  readonly extension: string
  readonly bytes: Uint8Array
}

async function* readMembers(path: string): AsyncGenerator<Member> {
  await requireFile(path)
  const source = createReadStream(path, { highWaterMark: 1 << 20 })
  const archive = openTar()
  source.on("error", (error) => archive.destroy(error))
  try {
    for await (const entry of source.pipe(archive)) {
      const header = checkHeader(entry.header)
      const name = splitName(header)
      if (name) checkSampleSize([header.size!])
      if (name) yield { ...name, bytes: await readAll(entry as AsyncIterable<Uint8Array>) }
      else entry.resume()
    }
  } catch (thrown) {
    const error = fileError(thrown, "reading", path)
    // The system's error names the path already.
    if (error !== thrown) throw error
    throw new UserError(`${path} is not a readable tar archive (${messageOf(error)})`, undefined, { cause: error })
  } finally {
    source.destroy()
  }
}

/** Fields of an extended header (PAX), with those that hold for the whole archive: about 20 exist. */
const mostFields = 1000

/** What tar-stream 3.2 has and its types do not. */
interface PaxReader {
  _pax: Record<string, string> | null
  _decodeLongHeader(bytes: Uint8Array): void
}

/** A reader of archives whose names `checkHeader` decodes. */
export function openTar(): Extract {
  const archive = extract({ filenameEncoding: "latin1" } as Parameters<typeof extract>[0])
  const reader = archive as unknown as PaxReader
  const decode = reader._decodeLongHeader.bind(archive)
  // It reads PAX headers as UTF-8, but Python writes names as the bytes that they are (hdrcharset=BINARY).
  reader._decodeLongHeader = (bytes) => {
    decode(bytes)
    const path = isUtf8(bytes) ? null : /(?:^|\n)\d+ path=([^\n]*)\n/.exec(Buffer.from(bytes).toString("latin1"))
    if (path && reader._pax) reader._pax.path = decodeName(path[1]!)
  }
  return archive
}

/**
 * The header, its name decoded. Throws Error on one that no archive of samples has. tar-stream would wait for ever for the end
 * of an entry whose size is not a number; names and fields of MiBs, given once for all entries, take long for each.
 */
export function checkHeader(header: Header): Header {
  const { size, pax } = header
  const name = nameOf(header)
  if (name.length > longestKey) throw new Error(`a name has ${name.length} letters, more than ${longestKey}`)
  if (!Number.isSafeInteger(size)) throw new Error(`the size of ${quoted(name)} is damaged`)
  let fields = 0
  for (const _ in pax as object | null)
    if (++fields > mostFields) throw new Error(`a header has more than ${mostFields} fields`)
  return { ...header, name }
}

/** That of a PAX header is decoded. */
function nameOf({ name, pax }: Header): string {
  return (pax as Record<string, string> | null)?.path === undefined ? decodeName(name) : name
}

/**
 * UTF-8; a name that is something else keeps a letter for each byte (Latin-1), so that names are as distinct as their bytes.
 *
 * @param name a letter for each byte
 */
function decodeName(name: string): string {
  const bytes = Buffer.from(name, "latin1")
  return isUtf8(bytes) ? bytes.toString("utf8") : name
}

/** Key and extension of a member; null where the entry is not a member: a folder, a hidden file, a file without extension. */
export function splitName({ name, type }: Header): { key: string; extension: string } | null {
  const path = name.replace(/^(?:\.\/)+/, "")
  const file = path.lastIndexOf("/") + 1
  const dot = path.indexOf(".", file)
  if (type !== "file" || dot <= file || dot === path.length - 1) return null
  return { key: path.slice(0, dot), extension: path.slice(dot + 1).toLowerCase() }
}

async function readAll(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const chunk of chunks) parts.push(chunk)
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
}

/** Refuses what cannot be a complete archive: an archive ends with a zero block, and one that was cut short does not. */
function checkArchive(path: string): void {
  const file = openRandomAccess(path)
  try {
    if (file.size === 0) throw new UserError(`${path} is empty`, "a tar archive was expected")
    const end = file.size < BLOCK ? null : file.read(file.size - BLOCK, BLOCK)
    if (end?.every((byte) => byte === 0)) return
  } finally {
    file.close()
  }
  throw new UserError(
    `${path} is not a complete tar archive`,
    "it was cut short, is compressed, or is another kind of file",
  )
}
