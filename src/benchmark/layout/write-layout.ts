/** Writes data in the benchmark's layout, as CLIP_benchmark's converter does (clip_benchmark/webdataset_builder.py @48de38c). */
import { stat } from "node:fs/promises"
import { join } from "node:path"
import { writeShard } from "../../data/shards.ts"
import { npyBytes } from "../../host/containers/npz.ts"
import { makeDirectory, writeAtomically } from "../../host/files/files.ts"
import type { GroupColumn } from "./benchmark-dataset.ts"
import { templateFile } from "./class-texts.ts"

/** A sample's files by extension. */
export type Members = ReadonlyMap<string, Uint8Array>

export interface WrittenSplit {
  readonly samples: number
  readonly shards: number
  /** Size of the shards' files. */
  readonly bytes: number
}

/**
 * Writes `0.tar`, `1.tar`, ... and `nshards.txt` into the folder of a split. Sample 12 is `s0000012` in whatever shard; equal
 * samples give equal bytes.
 *
 * @param perShard samples in a shard
 */
export async function writeSplit(
  folder: string,
  samples: AsyncIterable<Members> | Iterable<Members>,
  perShard: number,
): Promise<WrittenSplit> {
  await makeDirectory(folder)
  const rest = keyed(samples)
  let [shards, bytes] = [0, 0]
  let next = await rest.next()
  while (!next.done) {
    const path = join(folder, `${shards++}.tar`)
    next = await writeSome(path, next.value, rest, perShard)
    bytes += (await stat(path)).size
  }
  await writeAtomically(join(folder, "nshards.txt"), [`${shards}\n`])
  return { samples: next.value, shards, bytes }
}

type Keyed = { readonly key: string; readonly members: Members }

/** Returns how many there were. */
async function* keyed(samples: AsyncIterable<Members> | Iterable<Members>): AsyncGenerator<Keyed, number> {
  let count = 0
  for await (const members of samples) yield { key: `s${String(count++).padStart(7, "0")}`, members }
  return count
}

/** One shard of `first` and those after it; returns the first that is not in it. */
async function writeSome(
  path: string,
  first: Keyed,
  rest: AsyncGenerator<Keyed, number>,
  most: number,
): Promise<IteratorResult<Keyed, number>> {
  let next: IteratorResult<Keyed, number> = { done: false, value: first }
  const some = async function* () {
    for (let i = 0; i < most && !next.done; i++) {
      yield next.value
      next = await rest.next()
    }
  }
  await writeShard(path, some())
  return next
}

/** What stands beside the shards. */
export interface SideFiles {
  readonly kind: "classification" | "retrieval" | "caption-selection" | "association"
  readonly classNames?: readonly string[]
  /** With `{c}` or `{}`. */
  readonly templates?: readonly string[]
  readonly groups?: readonly GroupColumn[]
}

/** Writes the files beside the splits. Of classification there is no `dataset_type.txt`, as in the published data. */
export async function writeSideFiles(
  folder: string,
  { kind, classNames, templates, groups }: SideFiles,
): Promise<void> {
  const write = (name: string, lines: readonly string[]) =>
    writeAtomically(join(folder, name), [lines.map((line) => `${line}\n`).join("")])
  if (kind !== "classification") await write("dataset_type.txt", [kind])
  if (classNames) await write("classnames.txt", classNames)
  // CLIP_benchmark fills in {c} alone.
  if (templates)
    await write(
      templateFile,
      templates.map((template) => template.replaceAll("{}", "{c}")),
    )
  if (groups) await write("groups.json", [JSON.stringify({ columns: groups }, null, 2)])
}

/** The `.npy` of a sample: integers as int64, as NumPy writes them. */
export function npyOf(row: readonly number[]): Uint8Array {
  return npyBytes([row.length], BigInt64Array.from(row, BigInt))
}

export function textBytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}
