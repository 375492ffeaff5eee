/**
 * What a tar shard holds and where, found in one pass over its headers. So members of a sample that are not side by side
 * are put together, and what is left of a broken archive is known before anything is read.
 */
import { createReadStream } from "node:fs"
import { EnvironmentError, messageOf, oneLine, UserError } from "../../../core/errors.ts"
import type { RandomAccess } from "../../../core/random-access.ts"
import { fileError } from "../../../host/files/file-error.ts"
import { checkHeader, openTar, splitName } from "../../shards.ts"

export interface TarMember {
  /** The path in the archive. */
  readonly name: string
  readonly key: string
  readonly extension: string
  readonly offset: number
  readonly size: number
}

export interface TarIndex {
  /** Members by key, in the archive's order. */
  readonly samples: ReadonlyMap<string, readonly TarMember[]>
  /** Keys whose members are not side by side. */
  readonly scattered: readonly string[]
  /** Why the archive ends before its end mark; null where it is complete. */
  readonly damage: string | null
}

/** Throws UserError where the file is not a tar archive, or has no samples. */
export async function indexTar(source: RandomAccess): Promise<TarIndex> {
  const samples = new Map<string, TarMember[]>()
  const scattered = new Set<string>()
  let last: string | null = null
  const damage = await walk(source, (member) => {
    const { key } = member
    if (!samples.has(key)) samples.set(key, [member])
    else samples.get(key)!.push(member)
    if (last !== key && samples.get(key)!.length > 1) scattered.add(key)
    last = key
  })
  if (samples.size === 0) throw noSamples(source, damage)
  return { samples, scattered: [...scattered], damage: damage ?? missingEnd(source) }
}

/** Returns why reading stopped, or null. */
async function walk(source: RandomAccess, found: (member: TarMember) => void): Promise<string | null> {
  const file = createReadStream(source.name, { highWaterMark: 1 << 20 })
  const archive = openTar()
  file.on("error", (error) => archive.destroy(fileError(error, "reading", source.name) as Error))
  try {
    for await (const entry of file.pipe(archive)) {
      const header = checkHeader(entry.header)
      const { name, size, byteOffset } = header as typeof header & { byteOffset: number }
      const parts = splitName(header)
      if (parts) found({ name, ...parts, offset: byteOffset, size: size! })
      entry.resume()
    }
    return null
  } catch (error) {
    if (error instanceof EnvironmentError) throw error
    return oneLine(messageOf(error))
  } finally {
    file.destroy()
  }
}

function noSamples({ name }: RandomAccess, damage: string | null): UserError {
  if (damage === null) {
    return new UserError(`${name} holds no samples`, "files such as 0001.jpg and 0001.txt were expected")
  }
  return new UserError(`${name} is not a readable tar archive (${damage})`, "get or write the shard again")
}

/** An archive ends with blocks of zeros, so one that was cut between two members does not. */
function missingEnd(source: RandomAccess): string | null {
  const block = Math.min(512, source.size)
  const isZero = source.read(source.size - block, block).every((byte) => byte === 0)
  return isZero ? null : "it has no end mark"
}
