/**
 * Pictures with captions as WebDataset shards: the bytes of each picture as they are, its caption as `txt`, what else is
 * known of it as `json`. A shard appears when it is complete, so the same call goes on where one was stopped.
 *
 *     00000.tar, ...      sample 34 of shard 12 is 000120034; a picture that is left out leaves its number unused
 *     shards.json         the pictures and the options that the shards are made of
 *     _done/00000.json    what is in a shard, and what was left out of it
 *     failures.jsonl      the pictures that were left out and why, at the end
 *     manifest.jsonl      samples by shard, at the end
 */
import { readdir, rm, stat } from "node:fs/promises"
import { availableParallelism } from "node:os"
import { join, relative, resolve, sep } from "node:path"
import { z } from "zod"
import { Random } from "../core/arrays/random.ts"
import { isInputError, UserError } from "../core/errors.ts"
import { isObject, jsonOrNull } from "../core/json.ts"
import { noProgress, type StartProgress } from "../core/progress.ts"
import { makeDirectory, nullIfMissing, readBytes, readBytesIfThere, writeAtomically } from "../host/files/files.ts"
import { listed } from "../host/files/folder.ts"
import { sha256OfFile } from "../host/files/hash.ts"
import { requirePictures } from "../host/image/image-files.ts"
import { decodeImage } from "../host/image/images.ts"
import { walkPictures } from "../host/image/picture-folder.ts"
import type { Truncated } from "../host/image/picture-format.ts"
import { isBookkeeping, lockFolder } from "../host/locks/lock.ts"
import { formatExactJson } from "./json-text.ts"
import { mapOrdered } from "./parallel.ts"
import { pictureExtension } from "./reinforced/sample.ts"
import { checkSampleSize } from "./reinforced/sample-budget.ts"
import { formatManifest } from "./reinforced/tar/side-files.ts"
import { type Sample, writeShard } from "./shards.ts"
import { pathOf } from "./stores/local.ts"
import { readCaptions } from "./training/sources/captions.ts"
import { listIdentity } from "./training/sources/identity.ts"
import type { SampleList } from "./training/sources/location.ts"
import { type ListOptions, openList } from "./training/sources/open-source.ts"
import { detectFormat } from "./training/sources/source.ts"

export interface MakeShardsOptions extends Omit<ListOptions, "fields"> {
  /** A folder with captions beside pictures or with class folders; a CSV, TSV or JSONL file. */
  readonly source: string
  /** The folder of the shards. It is created; shards that an earlier call with the same options completed are kept. */
  readonly out: string
  /** 1 to 100,000. */
  readonly samplesPerShard?: number
  /** Seed of a random order; null: folders by path, lists as they are. */
  readonly shuffle?: number | null
  /** Whether pictures need captions; without, a folder's pictures are packed alone. */
  readonly captions?: boolean
  /** Whether pictures that are cut off are taken. */
  readonly truncated?: Truncated
  /** Pictures that may be left out before the work stops. */
  readonly maxFailures?: number
  readonly startProgress?: StartProgress
  /** Gets a line about each kind of file that was passed over. */
  readonly onNote?: (line: string) => void
  readonly signal?: AbortSignal
}

export const makeShardsDefaults = {
  ...{ samplesPerShard: 1000, shuffle: null, captions: true, truncated: "accept" },
  ...{ maxFailures: Number.POSITIVE_INFINITY, startProgress: noProgress },
} as const satisfies Partial<MakeShardsOptions>

type Resolved = MakeShardsOptions & Required<Pick<MakeShardsOptions, keyof typeof makeShardsDefaults>>

/** A picture that is in no shard. */
export interface LeftOut {
  readonly path: string
  readonly reason: string
}

export interface MadeShards {
  readonly shards: number
  /** Shards that were complete before. */
  readonly resumed: number
  readonly samples: number
  /** Size of the shards' files. */
  readonly bytes: number
  readonly leftOut: readonly LeftOut[]
}

/**
 * Packs pictures into shards.
 *
 * @throws UserError where there are no pictures, nothing says what they show, more than `maxFailures` had to be left out, or
 *   `out` has other content or shards of other pictures; the signal's reason after the shards that are complete
 */
export async function makeShards(given: MakeShardsOptions): Promise<MadeShards> {
  const options: Resolved = { ...makeShardsDefaults, ...given }
  const { source, out, signal } = options
  checkOptions(options)
  using _ = await lockFolder(out, "mobileclip shards", signal)
  const list = await openPictures(options)
  for (const note of list.notes ?? []) options.onNote?.(note)
  await begin(out, await planOf(list, options))
  const progress = options.startProgress("shards", list.count, { unit: "pictures" })
  const packing = new Packing(list, resolve(source), options, (done) => progress.update(done))
  const done = await packing.all()
  const made = summaryOf(done, packing.resumed)
  if (made.samples === 0) throw new UserError(`none of the ${list.count} pictures can be used`, made.leftOut[0]?.reason)
  await writeSideFiles(out, done)
  progress.done()
  return made
}

function checkOptions({ source, out, samplesPerShard, captions, templates }: Resolved): void {
  if (!Number.isInteger(samplesPerShard) || samplesPerShard < 1 || samplesPerShard > largestShard)
    throw new UserError(`samplesPerShard is ${samplesPerShard}, expected a whole number from 1 to ${largestShard}`)
  if (resolve(source) === resolve(out))
    throw new UserError(`${source} would be both read and written`, "choose another folder for --out")
  if (!captions && templates)
    throw new UserError("templates make captions, and none are wanted", "leave out one of both")
}

const largestShard = 100_000

// ---------------------------------------------------------------------------------------------------- pictures

async function openPictures(options: Resolved): Promise<SampleList> {
  const { source, captions } = options
  const format = await detectFormat(source)
  if (format === "shards" || format === "reinforced") {
    throw new UserError(
      `${source} is not a folder of pictures or a list of them`,
      "a folder, a CSV, TSV or JSONL file is packed; shards are what `train` and `reinforce` read as they are",
    )
  }
  if (captions) return openList(source, format, { ...options, fields: true })
  if (format === "folder") return picturesAlone(source)
  throw new UserError(`${source} is a list, which has captions`, "only the pictures of a folder are packed without")
}

async function picturesAlone(folder: string): Promise<SampleList> {
  const { pictures, notes } = await walkPictures(folder)
  requirePictures(folder, pictures, notes)
  const location = (index: number) => ({ kind: "file" as const, path: join(folder, pictures[index]!), captions: [] })
  return { count: pictures.length, notes, location }
}

// ------------------------------------------------------------------------------------------------ what was begun

/** Equal for calls that give equal shards. */
type Plan = Readonly<Record<string, unknown>>

async function planOf(list: SampleList, options: Resolved): Promise<Plan> {
  const { source, samplesPerShard, shuffle, captions, truncated } = options
  return {
    format: planFormat,
    pictures: await listIdentity(list),
    // What a list has beside pictures and captions becomes part of the shards.
    ...(list.fields && { list: await sha256OfFile(pathOf(source)) }),
    ...{ samplesPerShard, shuffle, captions, truncated },
  }
}

const planFile = "shards.json"
const planFormat = "mobileclip-shards-1"
const doneFolder = "_done"

/** Begins, or goes on. A call that wrote no shard binds nobody. */
async function begin(out: string, plan: Plan): Promise<void> {
  const bytes = await readBytesIfThere(join(out, planFile))
  const before = bytes && planIn(bytes)
  if (before && JSON.stringify(before) === JSON.stringify(plan)) return
  const names = (await readdir(out)).filter((name) => !isBookkeeping(name))
  if (before) {
    if (names.some((name) => /^\d+\.tar$/.test(name))) throw otherPlan(out, before, plan)
    await rm(join(out, doneFolder), { recursive: true, force: true })
  } else if (names.some(isOurs)) throw foreign(out, names.filter(isOurs))
  await writeAtomically(join(out, planFile), [`${JSON.stringify(plan, null, 2)}\n`])
}

function planIn(bytes: Uint8Array): Plan | null {
  const plan = jsonOrNull(new TextDecoder().decode(bytes))
  return isObject(plan) && plan.format === planFormat ? plan : null
}

/** What is written, and what readers of the folder would take for it. */
function isOurs(name: string): boolean {
  return name === planFile || name === doneFolder || /\.(tar|jsonl)(\.|$)/.test(name)
}

function foreign(out: string, names: readonly string[]): UserError {
  return new UserError(
    `${out} holds ${listed(names.toSorted())}, which \`mobileclip shards\` did not write`,
    "choose another folder for --out",
  )
}

function otherPlan(out: string, was: Plan, now: Plan): UserError {
  const name =
    Object.keys({ ...was, ...now }).find((key) => JSON.stringify(was[key]) !== JSON.stringify(now[key])) ?? "format"
  const values = [was[name], now[name]].map((value) => JSON.stringify(value))
  return new UserError(
    `${out} has shards with ${name} ${values[0]}, and now it is ${values[1]}`,
    "give the same pictures and options to go on, or another folder",
  )
}

// ------------------------------------------------------------------------------------------------------- shards

const shardSchema = z.object({
  name: z.string(),
  samples: z.int().nonnegative(),
  bytes: z.int().nonnegative(),
  leftOut: z.array(z.object({ path: z.string(), reason: z.string() })),
})

type Shard = Readonly<z.infer<typeof shardSchema>>

class Packing {
  resumed = 0
  private readonly order: readonly number[] | null
  private readonly shards: Shard[] = []
  private failures = 0

  constructor(
    private readonly list: SampleList,
    /** Absolute. */
    private readonly source: string,
    private readonly options: Resolved,
    private readonly onPictures: (done: number) => void,
  ) {
    const { shuffle } = options
    this.order = shuffle === null ? null : Random.of(shuffle, "shards").shuffle([...Array(list.count).keys()])
  }

  async all(): Promise<readonly Shard[]> {
    const { out, samplesPerShard, maxFailures, signal } = this.options
    await makeDirectory(join(out, doneFolder))
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
    for await (const one of mapOrdered(Array(count).keys(), 2 * availableParallelism(), read)) {
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
    const [first] = [...this.shards.flatMap(({ leftOut }) => leftOut), ...now]
    return new UserError(
      `${this.failures} pictures had to be left out, and at most ${this.options.maxFailures} may be; the first: ${first!.path}: ${first!.reason}`,
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

// ------------------------------------------------------------------------------------------------------- the end

function summaryOf(shards: readonly Shard[], resumed: number): MadeShards {
  const total = (count: (shard: Shard) => number) => shards.reduce((sum, shard) => sum + count(shard), 0)
  return {
    shards: shards.filter(({ samples }) => samples > 0).length,
    resumed,
    samples: total(({ samples }) => samples),
    bytes: total(({ bytes }) => bytes),
    leftOut: shards.flatMap(({ leftOut }) => leftOut),
  }
}

async function writeSideFiles(out: string, shards: readonly Shard[]): Promise<void> {
  const lines = shards.flatMap(({ name, leftOut }) =>
    leftOut.map((one) => JSON.stringify({ shard: `${name}.tar`, ...one })),
  )
  await writeAtomically(join(out, "failures.jsonl"), [lines.map((line) => `${line}\n`).join("")])
  const written = shards.filter(({ samples }) => samples > 0)
  const manifest = formatManifest(written.map(({ name, samples }) => ({ shard: name, samples })))
  await writeAtomically(join(out, "manifest.jsonl"), [manifest])
}
