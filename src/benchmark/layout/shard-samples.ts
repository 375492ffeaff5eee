/**
 * The samples of a shard. A key ends at the first dot of a file's name, as WebDataset has it
 * (https://github.com/webdataset/webdataset); where the first files of a shard have no known extension then, as in
 * `photo.v2.jpg`, it ends at the last one.
 */
import { quoted, UserError } from "../../core/errors.ts"
import { largestSample } from "../../data/reinforced/sample-budget.ts"
import { type TarEntry, tarEntries } from "./tar-entries.ts"

export interface ShardSample {
  readonly key: string
  /** Bytes by extension, in lower case: `jpg`, `cls`; `0.jpg` where the key ends at the first of two dots. */
  readonly members: ReadonlyMap<string, Uint8Array>
}

/** Extensions of pictures, in CLIP_benchmark's order of preference where a sample has several. */
export const layoutPictures = ["webp", "png", "jpg", "jpeg"] as const

/**
 * The samples in their order, as many at a time as a piece of the file completes.
 *
 * @param where what messages call the shard
 * @param isNumbered whether samples have numbered pictures, `key.0.jpg`
 * @throws UserError on a cut or damaged archive, and on a key that occurs twice
 */
export async function* shardSamples(path: string, where: string, isNumbered = false): AsyncGenerator<ShardSample[]> {
  let grouping: Grouping | null = null
  for await (const entries of tarEntries(path, wanted, where)) {
    if (entries.length === 0) continue
    grouping ??= new Grouping(isNumbered ? "first" : dotOf(entries), where)
    yield grouping.add(entries)
  }
  if (grouping) yield grouping.end()
}

const texts = ["cls", "txt", "npy", "json"]
const known = new Set<string>([...layoutPictures, ...texts])

/** Hidden files, such as macOS's `._x.jpg`, belong to no sample. Pictures are sent to threads, so they need memory of their own. */
function wanted(name: string): "own" | "shared" | null {
  const file = name.lastIndexOf("/") + 1
  const dot = name.lastIndexOf(".")
  const extension = name.slice(dot + 1).toLowerCase()
  if (dot <= file || name[file] === "." || !known.has(extension)) return null
  return texts.includes(extension) ? "shared" : "own"
}

type Dot = "first" | "last"

/** By the members that the first key would have. */
function dotOf(entries: readonly TarEntry[]): Dot {
  const { key } = split(entries[0]!.name, "first")
  const parts = entries.map(({ name }) => split(name, "first")).filter((each) => each.key === key)
  return parts.some(({ extension }) => known.has(extension)) ? "first" : "last"
}

function split(path: string, dot: Dot): { key: string; extension: string } {
  const name = path.startsWith("./") ? path.replace(/^(?:\.\/)+/, "") : path
  const at = dot === "first" ? name.indexOf(".", name.lastIndexOf("/") + 1) : name.lastIndexOf(".")
  return { key: name.slice(0, at), extension: name.slice(at + 1).toLowerCase() }
}

class Grouping {
  private readonly seen = new Set<string>()
  private key: string | null = null
  private members = new Map<string, Uint8Array>()
  private bytes = 0

  constructor(
    private readonly dot: Dot,
    private readonly where: string,
  ) {}

  /** The samples that these files complete. */
  add(entries: readonly TarEntry[]): ShardSample[] {
    const samples: ShardSample[] = []
    for (const { name, bytes } of entries) {
      const { key, extension } = split(name, this.dot)
      if (key !== this.key) samples.push(...this.begin(key))
      if (this.members.has(extension)) throw this.twice(`${key}.${extension}`)
      this.bytes += bytes.length
      if (this.bytes > largestSample)
        throw new UserError(`${this.where}: ${quoted(key)} has more than ${largestSample} bytes`)
      this.members.set(extension, bytes)
    }
    return samples
  }

  end(): ShardSample[] {
    return this.key === null ? [] : [{ key: this.key, members: this.members }]
  }

  private begin(key: string): ShardSample[] {
    const before = this.end()
    if (this.seen.has(key)) throw this.twice(key)
    this.seen.add(key)
    ;[this.key, this.members, this.bytes] = [key, new Map(), 0]
    return before
  }

  private twice(name: string): UserError {
    return new UserError(
      `${this.where}: ${quoted(name)} occurs twice`,
      "keys are unique in a shard, and the files of a sample lie side by side",
    )
  }
}
