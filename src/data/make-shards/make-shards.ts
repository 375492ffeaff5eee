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
import { join, resolve } from "node:path"
import { UserError } from "../../core/errors.ts"
import { writeAtomically } from "../../host/files/files.ts"
import { requirePictures } from "../../host/image/image-files.ts"
import { walkPictures } from "../../host/image/picture-folder.ts"
import { lockFolder } from "../../host/locks/lock.ts"
import { formatManifest } from "../reinforced/tar/side-files.ts"
import type { SampleList } from "../training/sources/location.ts"
import { openList } from "../training/sources/open-source.ts"
import { detectFormat } from "../training/sources/source.ts"
import { begin, planOf } from "./begun.ts"
import { type MakeShardsOptions, makeShardsDefaults, type ResolvedOptions } from "./options.ts"
import { type LeftOut, Packing, type Shard } from "./packing.ts"

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
  const options: ResolvedOptions = { ...makeShardsDefaults, ...given }
  checkOptions(options)
  using _ = await lockFolder(options.out, "mobileclip shards", options.signal)
  const list = await openPictures(options)
  try {
    return await packList(list, options)
  } finally {
    list.close?.()
  }
}

async function packList(list: SampleList, options: ResolvedOptions): Promise<MadeShards> {
  const { source, out } = options
  for (const note of list.notes ?? []) options.onNote?.(note)
  await begin(out, await planOf(list, options))
  const progress = options.startProgress("shards", list.count, { unit: "pictures" })
  const packing = new Packing(list, resolve(source), options, (done) => progress.update(done))
  const done = await packing.all()
  const made = summaryOf(done, packing)
  if (made.samples === 0) throw new UserError(`none of the ${list.count} pictures can be used`, made.leftOut[0]?.reason)
  await writeSideFiles(out, done, packing.unread)
  progress.done()
  return made
}

function checkOptions({ source, out, samplesPerShard, captions, templates }: ResolvedOptions): void {
  if (!Number.isInteger(samplesPerShard) || samplesPerShard < 1 || samplesPerShard > largestShard)
    throw new UserError(`samplesPerShard is ${samplesPerShard}, expected a whole number from 1 to ${largestShard}`)
  if (resolve(source) === resolve(out))
    throw new UserError(`${source} would be both read and written`, "choose another folder for --out")
  if (!captions && templates)
    throw new UserError("templates make captions, and none are wanted", "leave out one of both")
}

const largestShard = 100_000

// ---------------------------------------------------------------------------------------------------- pictures

async function openPictures(options: ResolvedOptions): Promise<SampleList> {
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
  const { pictures, notes, unread } = await walkPictures(folder)
  requirePictures(folder, pictures, notes)
  const location = (index: number) => ({ kind: "file" as const, path: join(folder, pictures[index]!), captions: [] })
  return { count: pictures.length, notes, unread, location }
}

// ------------------------------------------------------------------------------------------------------- the end

function summaryOf(shards: readonly Shard[], { resumed, unread }: Packing): MadeShards {
  const total = (count: (shard: Shard) => number) => shards.reduce((sum, shard) => sum + count(shard), 0)
  return {
    shards: shards.filter(({ samples }) => samples > 0).length,
    resumed,
    samples: total(({ samples }) => samples),
    bytes: total(({ bytes }) => bytes),
    leftOut: [...unread, ...shards.flatMap(({ leftOut }) => leftOut)],
  }
}

async function writeSideFiles(out: string, shards: readonly Shard[], unread: readonly LeftOut[]): Promise<void> {
  const ofShards = shards.flatMap(({ name, leftOut }) => leftOut.map((one) => ({ shard: `${name}.tar`, ...one })))
  const lines = [...unread.map((one) => ({ shard: null, ...one })), ...ofShards]
  await writeAtomically(join(out, "failures.jsonl"), [lines.map((line) => `${JSON.stringify(line)}\n`).join("")])
  const written = shards.filter(({ samples }) => samples > 0)
  const manifest = formatManifest(written.map(({ name, samples }) => ({ shard: name, samples })))
  await writeAtomically(join(out, "manifest.jsonl"), [manifest])
}
