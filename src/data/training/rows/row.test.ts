import { createHash } from "node:crypto"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { expect, test } from "vitest"
import { collect } from "../../../../test/reinforced.ts"
import { tokenizer } from "../../../../test/training-samples.ts"
import { Random } from "../../../core/arrays/random.ts"
import { image8 } from "../../../core/image/pixels.ts"
import { type Preprocessing, preprocess } from "../../../core/image/preprocess.ts"
import { decodeImage } from "../../../host/image/images.ts"
import { augmentedPixels } from "../../augment/apply.ts"
import { drawCrop } from "../../augment/draw.ts"
import type { ViewKind } from "../config.ts"
import type { TrainingSample } from "./load.ts"
import { fillRow, type RowSettings } from "./row.ts"

const golden = join(import.meta.dirname, "../../../../test/golden/datacompdr")

/** A model that is evaluated with bilinear pictures of values in 0..1, as MobileCLIP-S0. */
const bilinear: Preprocessing = { size: 64, interpolation: "bilinear", mean: [0, 0, 0], std: [1, 1, 1] }

const cropScale = [0.5, 0.9] as const

function pixelsOf(sample: TrainingSample, view: ViewKind, preprocessing: Preprocessing, seed = 0): Float32Array {
  const settings: RowSettings = {
    ...{ preprocessing, view, cropScale, contextLength: 77, syntheticPattern: null },
    ...{ captionKey: "web", mixSynthetic: null, embeddingWidth: null },
  }
  const image = new Float32Array(3 * preprocessing.size ** 2)
  const none = { synthetic: null, imageEmbedding: null, textEmbedding: null, syntheticEmbedding: null }
  const out = { image, tokens: new BigInt64Array(77), ...none }
  fillRow(sample, Random.of(seed, "row"), settings, tokenizer, out)
  return image
}

/** [3, S, S] in 0..1 -> sha256 of the bytes [S, S, 3]. */
function checksum(pixels: Float32Array): string {
  const count = pixels.length / 3
  const bytes = Uint8Array.from({ length: pixels.length }, (_, i) =>
    Math.round(pixels[(i % 3) * count + Math.floor(i / 3)]! * 255),
  )
  return createHash("sha256").update(bytes).digest("hex")
}

test("stored views are bicubic for a model whose evaluation is bilinear: the reference's own pixels", async () => {
  const { shards } = JSON.parse(await readFile(join(golden, "expected.json"), "utf8"))
  const { samples } = await collect(join(golden, "00000000.tar"))
  expect(samples.length).toBeGreaterThan(3)
  for (const { key, texts, synTexts, paramAug, embeddings, image } of samples) {
    const expected = shards["00000000.tar"].samples.find((sample: { key: string }) => sample.key === key)
    const decoded = await decodeImage(image!.bytes)
    for (const [i, view] of paramAug!.entries()) {
      const sample = { name: key, texts, synTexts, paramAug: [view], embeddings, image: decoded, precise: null }
      const pixels = pixelsOf(sample as TrainingSample, "stored", bilinear)
      expect(checksum(pixels)).toBe(expected.augmented_64_sha256[i])
    }
  }
})

test("random crops are bicubic too; resize and centre crop are the evaluation's", () => {
  const random = Random.of(1, "picture")
  const image = image8(
    90,
    70,
    Uint8Array.from({ length: 90 * 70 * 3 }, () => random.int(256)),
  )
  const sample = { name: "a", texts: ["a"], synTexts: new Map(), paramAug: null, embeddings: new Map(), precise: null }
  const pixels = (view: ViewKind) => pixelsOf({ ...sample, image } as unknown as TrainingSample, view, bilinear)
  const drawn = Random.of(0, "row")
  drawn.int(1)
  const crop = drawCrop({ scale: cropScale, ratio: [3 / 4, 4 / 3] }, image, drawn)
  expect(pixels("crop")).toEqual(augmentedPixels(image, [crop, null], { ...bilinear, interpolation: "bicubic" }))
  expect(pixels("center")).toEqual(preprocess(image, bilinear))
})
