/** Shards of small pictures with captions: one is written, the others are hard links of it. */
import { link, mkdir } from "node:fs/promises"
import { join } from "node:path"
import { type Sample, writeShard } from "../../../src/data/shards.ts"
import { jpegs } from "./pictures.ts"

/** `shards/00000.tar`, ... in `folder`, each of `samples` samples. */
export async function makeShards(folder: string, shards: number, samples: number): Promise<void> {
  await mkdir(join(folder, "shards"))
  const path = (shard: number) => join(folder, "shards", `${String(shard).padStart(5, "0")}.tar`)
  await writeShard(path(0), captioned(samples))
  for (let shard = 1; shard < shards; shard++) await link(path(0), path(shard))
}

const [side, differentPictures] = [48, 100]

async function* captioned(samples: number): AsyncGenerator<Sample> {
  const pictures = await jpegs(Math.min(samples, differentPictures), side)
  for (let i = 0; i < samples; i++) {
    const [picture, caption] = [pictures[i % pictures.length]!, Buffer.from(`picture ${i} of ${samples}`)]
    const members = new Map<string, Uint8Array>([
      ["jpg", picture],
      ["txt", caption],
    ])
    yield { key: String(i).padStart(9, "0"), members }
  }
}
