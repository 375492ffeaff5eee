import sharp from "sharp"
import { expect, test } from "vitest"
import { FakeModel, fakeDataset } from "../../../test/fake-benchmark.ts"
import type { Preprocessing } from "../../core/image/preprocess.ts"
import { preprocess } from "../../core/image/preprocess.ts"
import { decodeImage } from "../../host/image/images.ts"
import { PicturePool } from "../../pictures/picture-pool.ts"
import type { BenchmarkSample } from "../layout/benchmark-dataset.ts"
import type { EvaluatedModel, PixelModel } from "../run/evaluated-model.ts"
import { encodePictures, type PictureRecord } from "./encode-pictures.ts"

const small: Preprocessing = { size: 4, interpolation: "bilinear", mean: [0, 0, 0], std: [1, 1, 1] }
const large: Preprocessing = { size: 6, interpolation: "bicubic", mean: [0.5, 0.4, 0.3], std: [0.2, 0.2, 0.2] }

const photographs = () =>
  Promise.all(
    Array.from({ length: 5 }, async (_, n) => {
      const pixels = Uint8Array.from({ length: 30 * 20 * 3 }, (_, i) => (i * (n + 3) * 7 + (i % 11) * n) % 256)
      return new Uint8Array(
        await sharp(pixels, { raw: { width: 30, height: 20, channels: 3 } })
          .jpeg()
          .toBuffer(),
      )
    }),
  )

async function* samplesOf(pictures: readonly Uint8Array[]): AsyncGenerator<BenchmarkSample> {
  for (const [i, picture] of pictures.entries()) {
    const nothing = { texts: [], metadata: null, associations: null }
    yield { key: `0.tar/s${i}`, images: [picture], label: 0, ...nothing }
  }
}

/** Its vectors are the first values of the pixels. */
function pixelModel(name: string, preprocessing: Preprocessing): PixelModel {
  const length = 3 * preprocessing.size ** 2
  return {
    ...{ name, identity: name, embedDim: 3, preprocessing },
    encodePixels: async (pixels, count) => {
      expect(pixels.length).toBe(count * length)
      return Float32Array.from(
        Array.from({ length: count }, (_, i) => [...pixels.subarray(i * length, i * length + 3)]).flat(),
      )
    },
    encodeTexts: async () => new Float32Array(0),
  }
}

async function encoded(models: readonly EvaluatedModel[], pictures: readonly Uint8Array[], threads: number) {
  await using pool = new PicturePool(threads)
  const records: PictureRecord[] = []
  const options = {
    pool,
    batchSize: 2,
    distinct: false,
    onRecord: (record: PictureRecord) => void records.push(record),
  }
  const vectors = models.map((): number[] => [])
  for await (const batch of encodePictures(samplesOf(pictures), models, options))
    batch.vectors.forEach((each, i) => void vectors[i]!.push(...each))
  return { vectors, records }
}

test("models with other pixels, and one that takes pictures, share a pass; threads give the same", async () => {
  const pictures = await photographs()
  const byMean = new FakeModel(
    "pictures",
    2,
    (red) => [red + 1, 1],
    () => [],
  )
  // As large as the first, with other values.
  const normalized = { ...small, mean: large.mean, std: large.std }
  const targets = [small, large, small, normalized]
  const models = [...targets.map((target, i) => pixelModel(`pixels ${i}`, target)), byMean]
  const alone = await encoded(models, pictures, 0)
  expect(alone.records.map(({ key, pictures: places }) => [key, places])).toEqual(
    pictures.map((_, i) => [`0.tar/s${i}`, [i]]),
  )
  for (const [i, preprocessing] of targets.entries()) {
    const expected = await Promise.all(
      pictures.map(async (file) => unit([...preprocess(await decodeImage(file), preprocessing).subarray(0, 3)])),
    )
    alone.vectors[i]!.forEach((value, at) => {
      expect(value).toBeCloseTo(expected.flat()[at]!, 6)
    })
  }
  expect(byMean.batches).toEqual([2, 2, 1])
  expect((await encoded(models, pictures, 2)).vectors).toEqual(alone.vectors)
})

test("a picture that is damaged is named with its sample, with threads and without", async () => {
  const pictures = await photographs()
  pictures[3] = pictures[3]!.subarray(0, 200)
  for (const threads of [0, 1])
    await expect(encoded([pixelModel("small", small)], pictures, threads)).rejects.toThrow(
      /^0\.tar\/s3 is damaged or cut off/,
    )
})

test("vectors without a direction are refused: zeros, and what is not a number", async () => {
  const { samples } = await fakeDataset([{ pictures: [1] }, { pictures: [2] }])
  for (const bad of [
    [0, 0],
    [Number.NaN, 1],
  ]) {
    const model = new FakeModel(
      "bad",
      2,
      (number) => (number === 2 ? bad : [1, 1]),
      () => [],
    )
    await using pool = new PicturePool(0)
    const pass = encodePictures(samples(), [model], { pool, batchSize: 2, distinct: false, onRecord() {} })
    await expect(pass.next()).rejects.toThrow(/^bad gave picture 2 of a batch a vector without a direction/)
  }
})

function unit(values: readonly number[]): number[] {
  const length = Math.hypot(...values)
  return values.map((value) => value / length)
}
