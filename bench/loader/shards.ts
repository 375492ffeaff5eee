/** Reinforced shards of scenes for benches of loading: 10 views, 5 synthetic captions, two teachers. */
import sharp from "sharp"
import { Random } from "../../src/core/arrays/random.ts"
import { datacompdrAugmentation as config } from "../../src/data/augment/config.ts"
import { drawAugmentation } from "../../src/data/augment/draw.ts"
import type { EmbeddingKind } from "../../src/data/reinforced/embeddings.ts"
import { encodeSamples } from "../../src/data/reinforced/encode.ts"
import type { ReinforcedSample } from "../../src/data/reinforced/sample.ts"
import { captionsOf } from "../../src/data/scenes/captions.ts"
import { renderScene } from "../../src/data/scenes/render.ts"
import { sampleScene } from "../../src/data/scenes/scene.ts"
import { writeAtomically } from "../../src/host/files/files.ts"
import { likeVectors } from "../../test/reinforced.ts"

export interface ShardOptions {
  readonly count: number
  /** Null: the pictures as they are. */
  readonly enlarged: readonly [width: number, height: number] | null
  /** Side of the views, in pixels. */
  readonly size: number
  /** Values of both teachers together. */
  readonly embeddingWidth: number
}

/** @param embeddings how they are stored */
export async function writeShard(path: string, options: ShardOptions, embeddings: EmbeddingKind): Promise<void> {
  const format = { output: "webdataset", embeddings, textEmbeddings: "separate", images: true } as const
  await writeAtomically(path, encodeSamples(samplesOf(options), format))
}

async function* samplesOf({ count, enlarged, size, embeddingWidth }: ShardOptions): AsyncGenerator<ReinforcedSample> {
  const augmentation = { ...config, randomResizedCrop: { ...config.randomResizedCrop, size } }
  for (let i = 0; i < count; i++) {
    const scene = sampleScene(1, "train", i)
    const random = Random.of(1, "loader", i)
    const [width, height] = enlarged ?? [scene.width, scene.height]
    const rendered = await renderScene(scene)
    const jpeg = sharp(rendered).resize(width, height, { fit: "fill" }).jpeg({ quality: 85 })
    const rows = (number: number) => likeVectors(number, embeddingWidth, 0.8, random)
    const { caption, webCaption } = captionsOf(scene)
    yield {
      key: String(i).padStart(6, "0"),
      image: { extension: "jpg", bytes: enlarged ? await jpeg.toBuffer() : rendered },
      url: null,
      texts: [webCaption],
      synTexts: new Map([["syn_text", Array.from({ length: 5 }, () => caption)]]),
      paramAug: Array.from({ length: 10 }, () => drawAugmentation(augmentation, { width, height }, random)),
      embeddings: new Map([
        ["image_emb", rows(10)],
        ["text_emb", rows(1)],
        ["syn_text_emb", rows(5)],
      ]),
      fields: { uid: String(i) },
      others: new Map(),
    }
  }
}
