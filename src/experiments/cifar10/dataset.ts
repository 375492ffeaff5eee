/**
 * CIFAR-10 from class folders, `train/cat/0001.jpg` and `test/cat/0001.jpg`: shards of the few pictures that students
 * learn from, with careless captions; a list of other pictures with precise ones for the teachers; and the test pictures.
 */

import { join, resolve } from "node:path"
import { Random } from "../../core/arrays/random.ts"
import { UserError } from "../../core/errors.ts"
import { pictureExtension } from "../../data/reinforced/sample.ts"
import { type Sample, writeShard } from "../../data/shards.ts"
import { makeDirectory, readBytes, writeAtomically } from "../../host/files/files.ts"
import { walkPictures } from "../../host/image/picture-folder.ts"
import { type CaptionMix, carelessCaption, preciseCaptions } from "./captions.ts"
import { type ClassName, classNames } from "./classes.ts"

interface ClassPicture {
  readonly path: string
  readonly label: ClassName
}

/** Pictures of a shard. */
const perShard = 1000

/**
 * `count` pictures of a split after the first `skip`, the classes in turn, each in the order of its file names; all pictures
 * where the count is infinite. Throws UserError where a class has no folder or too few pictures.
 */
export async function listPictures(folder: string, count: number, skip = 0): Promise<ClassPicture[]> {
  const walked: Awaited<ReturnType<typeof walkPictures>>[] = []
  for (const label of classNames) walked.push(await walkPictures(join(folder, label)))
  const byClass = walked.map(({ pictures }) => pictures)
  const fewest = Math.min(...byClass.map((names) => names.length))
  const wanted = Number.isFinite(count) ? Math.ceil((skip + count) / classNames.length) : fewest
  byClass.forEach((names, i) => {
    if (names.length >= Math.max(wanted, 1)) return
    throw new UserError(
      `${join(folder, classNames[i]!)} holds ${names.length} pictures, and ${Math.max(wanted, 1)} were expected`,
      ["CIFAR-10 as class folders has 5,000 in each of train/ and 1,000 in each of test/", ...walked[i]!.notes].join(
        "; ",
      ),
    )
  })
  const inTurn = Array.from({ length: wanted * classNames.length }, (_, i) => {
    const label = classNames[i % classNames.length]!
    return { label, path: join(folder, label, byClass[i % classNames.length]![Math.floor(i / classNames.length)]!) }
  })
  return inTurn.slice(skip, Number.isFinite(count) ? skip + count : undefined)
}

/** Writes `00000.tar`, ... with one careless caption for each picture, and returns them as one path with braces. */
export async function writeCarelessShards(
  folder: string,
  pictures: readonly ClassPicture[],
  mix: CaptionMix,
  seed: number,
): Promise<string> {
  await makeDirectory(folder)
  const shards = Math.ceil(pictures.length / perShard)
  for (let shard = 0; shard < shards; shard++) {
    const first = shard * perShard
    await writeShard(
      join(folder, `${shardName(shard)}.tar`),
      carelessSamples(pictures.slice(first, first + perShard), first, mix, seed),
    )
  }
  return join(folder, `{${shardName(0)}..${shardName(shards - 1)}}.tar`)
}

async function* carelessSamples(
  pictures: readonly ClassPicture[],
  first: number,
  mix: CaptionMix,
  seed: number,
): AsyncGenerator<Sample> {
  const encoder = new TextEncoder()
  for (const [i, { path, label }] of pictures.entries()) {
    const key = String(first + i).padStart(6, "0")
    const { kind, text } = carelessCaption(label, mix, Random.of(seed, "careless caption", key))
    const picture = await readBytes(path)
    const members = new Map([
      [pictureExtension(picture), picture],
      ["txt", encoder.encode(text)],
      ["json", encoder.encode(JSON.stringify({ label, kind }))],
    ])
    yield { key, members }
  }
}

function shardName(shard: number): string {
  return String(shard).padStart(5, "0")
}

/** Writes a JSONL file with the path of each picture and all its precise captions. */
export async function writePreciseList(path: string, pictures: readonly ClassPicture[]): Promise<void> {
  const lines = pictures.map(({ path: image, label }) =>
    JSON.stringify({ image: resolve(image), captions: preciseCaptions(label) }),
  )
  await writeAtomically(path, [`${lines.join("\n")}\n`])
}
