/**
 * WebDataset shards: tar archives in which files that share a path up to the first dot of their name, side by side, are
 * one sample (https://github.com/webdataset/webdataset). Files that have no extension are not part of any sample.
 */
import { type Pack, pack } from "tar-stream"
import { EnvironmentError, messageOf, quoted, UserError } from "../core/errors.ts"
import { isObject } from "../core/json.ts"
import { openRandomAccess, writeAtomically } from "../host/files/files.ts"
import { parseJson } from "./json-text.ts"
import { checkSampleSize } from "./reinforced/sample-budget.ts"
import { splitName } from "./reinforced/tar/tar-head.ts"
import { TarWalk } from "./reinforced/tar/tar-walk.ts"

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
  using file = openRandomAccess(path)
  try {
    for (const entry of new TarWalk(file).entries()) {
      const name = splitName(entry)
      if (!name) continue
      checkSampleSize([entry.size])
      if (entry.offset + entry.size > file.size) continue
      yield { ...name, bytes: file.read(entry.offset, entry.size) }
    }
  } catch (error) {
    // The system's error names the path already.
    if (error instanceof EnvironmentError) throw error
    throw new UserError(`${path} is not a readable tar archive (${messageOf(error)})`, undefined, { cause: error })
  }
}

/** Refuses what cannot be a complete archive: an archive ends with a zero block, and one that was cut short does not. */
function checkArchive(path: string): void {
  using file = openRandomAccess(path)
  if (file.size === 0) throw new UserError(`${path} is empty`, "a tar archive was expected")
  const end = file.size < BLOCK ? null : file.read(file.size - BLOCK, BLOCK)
  if (end?.every((byte) => byte === 0)) return
  throw new UserError(
    `${path} is not a complete tar archive`,
    "it was cut short, is compressed, or is another kind of file",
  )
}
