/** Reinforced shards: views, embeddings and synthetic captions beside small pictures, a different key for each sample. */
import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import { encodeSamples } from "../../../src/data/reinforced/encode.ts"
import type { ReinforcedSample } from "../../../src/data/reinforced/sample.ts"
import { writeAtomically } from "../../../src/host/files/files.ts"
import { reinforcedSample } from "../../../test/reinforced.ts"
import { jpegs } from "./pictures.ts"

const [samplesAShard, side, differentSamples] = [20, 400, 50]
const sizes = { views: 10, captions: 5, width: 128 } as const
const format = { output: "webdataset", embeddings: "npz", textEmbeddings: "separate", images: true } as const

/** `shards/00000.tar`, ... in `folder`, of 20 samples each, or one of fewer. */
export async function makeReinforced(folder: string, samples: number): Promise<void> {
  await mkdir(join(folder, "shards"))
  const kinds = await differentOnes()
  for (let first = 0; first < samples; first += samplesAShard) {
    const name = `${String(first / samplesAShard).padStart(5, "0")}.tar`
    const count = Math.min(samplesAShard, samples - first)
    const own = Array.from({ length: count }, (_, i) => {
      return { ...kinds[i % kinds.length]!, key: `s${String(first + i).padStart(9, "0")}` }
    })
    await writeAtomically(join(folder, "shards", name), encodeSamples(own, format))
  }
}

async function differentOnes(): Promise<ReinforcedSample[]> {
  const pictures = await jpegs(differentSamples, side)
  return pictures.map((bytes, i) => {
    const sample = reinforcedSample(`kind-${i}`, 1, sizes)
    return { ...sample, image: { extension: "jpg", bytes } }
  })
}
