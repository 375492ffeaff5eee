/**
 * A sample of a tar archive from where an index says that its bytes are: they are read at once, and its heads are parsed here.
 * Where they are many, because something else lies between, heads come first and members one by one.
 */
import { EnvironmentError, messageOf, UserError } from "../../../core/errors.ts"
import type { RandomAccess } from "../../../core/random-access.ts"
import { checkSampleSize } from "../../reinforced/sample-budget.ts"
import { splitName } from "../../reinforced/tar/tar-head.ts"
import { type TarEntry, TarWalk } from "../../reinforced/tar/tar-walk.ts"
import type { Extent } from "../../sample-index/index-file.ts"
import type { SampleLocation } from "../sources/location.ts"

export type TarLocation = Extract<SampleLocation, { kind: "tar" }>

interface TarSample {
  readonly key: string
  /** By extension; of two with one name, the first. */
  readonly members: ReadonlyMap<string, Uint8Array>
}

interface Reading {
  /** Whether only a small part of the sample is wanted, which is looked for. */
  readonly isSparing: boolean
  /** Is told the key as soon as it is known. */
  readonly onKey: (key: string) => void
}

/** Larger extents are not read at once: a picture with 36 embeddings has 0.5 MiB. */
const mostAtOnce = 2 ** 20

/** Entries of one sample; those published have a dozen. */
const mostEntries = 10_000

/** Throws UserError where no sample is there, or a damaged one. */
export function readTarSample(file: RandomAccess, location: TarLocation, { isSparing, onKey }: Reading): TarSample {
  const source = new ExtentSource(file, isSparing ? 0 : mostAtOnce)
  const wanted = new Map<string, TarEntry>()
  let key: string | null = null
  for (const { entry, name } of membersIn(source, location)) {
    if (key === null) onKey(name.key)
    key = name.key
    if (!wanted.has(name.extension) && location.extensions.includes(name.extension)) wanted.set(name.extension, entry)
  }
  if (key === null) throw new UserError("no sample is there: the shard has changed since it was indexed")
  return { key, members: source.contents(wanted) }
}

interface FoundMember {
  readonly entry: TarEntry
  readonly name: { readonly key: string; readonly extension: string }
}

/** The members of one sample; another one's may lie after them. */
function* membersIn(source: ExtentSource, { extents }: TarLocation): Generator<FoundMember> {
  const walk = new TarWalk(source)
  let [key, entries]: [string | null, number] = [null, 0]
  for (const extent of extents) {
    source.enter(extent)
    for (const entry of damageAsUserError(walk.entries(extent.start, extent.end))) {
      if (++entries > mostEntries) throw new UserError(`it has more than ${mostEntries} members`)
      const name = splitName(entry)
      key ??= name?.key ?? null
      if (name && name.key !== key) break
      if (entry.offset + entry.size > extent.end) throw new UserError(`${entry.name} is cut short`)
      if (name) yield { entry, name }
      // Zeros that fill the last block may be missing.
      if (entry.end >= extent.end) break
    }
  }
}

function* damageAsUserError(entries: Iterable<TarEntry>): Generator<TarEntry> {
  try {
    yield* entries
  } catch (error) {
    if (error instanceof EnvironmentError) throw error
    throw new UserError(`no tar archive is there (${messageOf(error)}): has the shard changed since it was indexed?`)
  }
}

/** Parts of a file, each read at once where it is small. */
class ExtentSource implements RandomAccess {
  readonly name: string
  /** The end of the part that is being read. */
  size = 0
  private pieces: { readonly start: number; readonly bytes: Uint8Array }[] = []

  constructor(
    private readonly file: RandomAccess,
    private readonly mostAtOnce: number,
  ) {
    this.name = file.name
  }

  enter({ start, end }: Extent): void {
    this.size = end
    if (end - start <= this.mostAtOnce) this.pieces.push({ start, bytes: this.file.read(start, end - start) })
  }

  read(offset: number, length: number): Uint8Array {
    return this.held(offset, length) ?? this.file.read(offset, length)
  }

  contents(entries: ReadonlyMap<string, TarEntry>): Map<string, Uint8Array> {
    const all = [...entries.values()]
    checkSampleSize(all.map(({ size }) => size))
    if (all.some(({ offset, size }) => !this.held(offset, size))) this.readTogether(all)
    return new Map([...entries].map(([extension, { offset, size }]) => [extension, this.read(offset, size)]))
  }

  private held(offset: number, length: number): Uint8Array | null {
    const holds = ({ start, bytes }: { start: number; bytes: Uint8Array }) =>
      offset >= start && offset + length <= start + bytes.length
    const piece = this.pieces.find(holds)
    return piece ? piece.bytes.subarray(offset - piece.start, offset - piece.start + length) : null
  }

  /** Members lie side by side as a rule, with heads and what was not asked for between: then one read gets them all. */
  private readTogether(entries: readonly TarEntry[]): void {
    const start = entries.reduce((least, { offset }) => Math.min(least, offset), Number.POSITIVE_INFINITY)
    const end = entries.reduce((most, { offset, size }) => Math.max(most, offset + size), 0)
    const bytes = entries.reduce((sum, { size }) => sum + size, 0)
    if (end - start <= 2 * bytes + 2 ** 16) this.pieces.push({ start, bytes: this.file.read(start, end - start) })
  }
}
