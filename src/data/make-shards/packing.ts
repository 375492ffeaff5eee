/** Pictures into shards, one after the other. `_done/00000.json` appears after its shard, so that one that is there is complete. */
import { stat } from "node:fs/promises"
import { join, relative, resolve, sep } from "node:path"
import { z } from "zod"
import { Random } from "../../core/arrays/random.ts"
import { isInputError, UserError } from "../../core/errors.ts"
import { jsonOrNull } from "../../core/json.ts"
import { mapOrdered } from "../../core/parallel.ts"
import { makeDirectory, nullIfMissing, readBytes, readBytesIfThere, writeAtomically } from "../../host/files/files.ts"
import { decodeImage } from "../../host/image/images.ts"
import { usableProcessors } from "../../host/processors.ts"
import { formatExactJson } from "../json-text.ts"
import { pictureExtension } from "../reinforced/sample.ts"
import { checkSampleSize } from "../reinforced/sample-budget.ts"
import { type Sample, writeShard } from "../shards.ts"
import { readCaptions } from "../training/sources/captions.ts"
import type { SampleList } from "../training/sources/location.ts"
import type { ResolvedOptions } from "./options.ts"

export const doneFolder = "_done"

/** A picture that is in no shard, or a folder of pictures that could not be read. */
export interface LeftOut {
  readonly path: string
  readonly reason: string
}

const shardSchema = z.object({
  name: z.string(),
  samples: z.int().nonnegative(),
  bytes: z.int().nonnegative(),
  leftOut: z.array(z.object({ path: z.string(), reason: z.string() })),
})

export type Shard = Readonly<z.infer<typeof shardSchema>>

export class Packing {
  resumed = 0
  /** Folders that could not be read. */
  readonly unread: readonly LeftOut[]
  private readonly order: Uint32Array | null
  private readonly shards: Shard[] = []
  private failures: number

  constructor(
    private readonly list: SampleList,
    /** Absolute. */
    private readonly source: string,
    private readonly options: ResolvedOptions,
    private readonly onPictures: (done: number) => void,
  ) {
    const { shuffle } = options
    this.unread = list.unread ?? []
    this.failures = this.unread.length
    this.order = shuffle === null ? null : Random.of(shuffle, "shards").permutation(list.count)
  }

  async all(): Promise<readonly Shard[]> {
    const { out, samplesPerShard, maxFailures, signal } = this.options
    await makeDirectory(join(out, doneFolder))
    if (this.failures > maxFailures) throw this.tooMany([])
    for (let start = 0; start < this.list.count; start += samplesPerShard) {
      signal?.throwIfAborted()
      const name = String(start / samplesPerShard).padStart(5, "0")
      const before = await completed(out, name)
      if (before) {
        this.resumed += 1
        this.failures += before.leftOut.length
        if (this.failures > maxFailures) throw this.tooMany(before.leftOut)
      }
      this.shards.push(before ?? (await this.pack(name, start)))
      this.onPictures(Math.min(start + samplesPerShard, this.list.count))
    }
    return this.shards
  }

  private async pack(name: string, start: number): Promise<Shard> {
    const { out } = this.options
    const found = { name, samples: 0, bytes: 0, leftOut: [] as LeftOut[] }
    const samples = this.samples(found, start)
    const first = await samples.next()
    // An archive without samples is not a shard.
    if (!first.done) {
      const path = join(out, `${name}.tar`)
      await writeShard(path, chained(first.value, samples))
      found.bytes = (await sizeOf(path)) ?? 0
    }
    await writeAtomically(doneFile(out, name), [`${JSON.stringify(found)}\n`])
    return found
  }

  /** What is used and what is left out of the pictures from `start` on is counted in `found`. */
  private async *samples(found: { name: string; samples: number; leftOut: LeftOut[] }, start: number) {
    const { samplesPerShard, maxFailures, signal } = this.options
    const digits = Math.max(4, String(samplesPerShard - 1).length)
    const count = Math.min(samplesPerShard, this.list.count - start)
    const read = (i: number) => this.read(found.name + String(i).padStart(digits, "0"), start + i)
    let done = start
    for await (const one of mapOrdered(Array(count).keys(), 2 * usableProcessors().count, read)) {
      signal?.throwIfAborted()
      if ("reason" in one) {
        found.leftOut.push(one)
        this.failures += 1
        if (this.failures > maxFailures) throw this.tooMany(found.leftOut)
      } else {
        found.samples += 1
        yield one
      }
      this.onPictures(++done)
    }
  }

  private async read(key: string, place: number): Promise<Sample | LeftOut> {
    const index = this.order?.[place] ?? place
    const location = this.list.location(index)
    if (location.kind !== "file") throw new Error(`a list names files, not a ${location.kind}`)
    const path = this.nameOf(location.path)
    try {
      const bytes = await readBytes(location.path, (size) => checkSampleSize([size]))
      await decodeImage(bytes, { name: path, truncated: this.options.truncated })
      const captions = await readCaptions(location.captions)
      if (this.options.captions && captions.length === 0) return { path, reason: "it has no caption" }
      const fields = { ...(this.list.fields?.(index) ?? { path }), ...(captions.length > 1 && { texts: captions }) }
      return { key, members: membersOf(bytes, captions, fields) }
    } catch (error) {
      if (!isInputError(error)) throw error
      return { path, reason: error.message }
    }
  }

  /** Relative to the folder that is packed; of a list, as an absolute path. */
  private nameOf(path: string): string {
    const below = relative(this.source, resolve(path))
    return below.startsWith("..") ? path : below.split(sep).join("/")
  }

  private tooMany(now: readonly LeftOut[]): UserError {
    const [first] = [...this.unread, ...this.shards.flatMap(({ leftOut }) => leftOut), ...now]
    return new UserError(
      `${this.failures} pictures or folders had to be left out, and at most ${this.options.maxFailures} may be; the first: ${first!.path}: ${first!.reason}`,
      "mend them, or allow more with --max-failures",
    )
  }
}

function membersOf(bytes: Uint8Array, captions: readonly string[], fields: object): Map<string, Uint8Array> {
  const encoder = new TextEncoder()
  const text = captions.length === 1 ? [["txt", encoder.encode(captions[0]!)] as const] : []
  return new Map([[pictureExtension(bytes), bytes], ...text, ["json", encoder.encode(formatExactJson(fields))]])
}

async function* chained(first: Sample, rest: AsyncIterable<Sample>): AsyncGenerator<Sample> {
  yield first
  yield* rest
}

/** What an earlier call has packed; null where the shard is to be made. */
async function completed(out: string, name: string): Promise<Shard | null> {
  const record = await readBytesIfThere(doneFile(out, name))
  const found = record && shardSchema.safeParse(jsonOrNull(new TextDecoder().decode(record))).data
  if (!found || found.name !== name) return null
  return found.samples === 0 || (await sizeOf(join(out, `${name}.tar`))) === found.bytes ? found : null
}

function doneFile(out: string, name: string): string {
  return join(out, doneFolder, `${name}.json`)
}

async function sizeOf(path: string): Promise<number | null> {
  const found = await stat(path).catch(nullIfMissing)
  return found?.isFile() ? found.size : null
}
