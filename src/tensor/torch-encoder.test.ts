import { afterAll, expect, test } from "vitest"
import { tinyInfo, tinyModel } from "../../test/tiny-model.ts"
import * as torch from "../../torch/index.ts"
import { Random } from "../core/arrays/random.ts"
import type { Image8 } from "../core/image/pixels.ts"
import { preprocess } from "../core/image/preprocess.ts"
import { Tokenizer } from "../core/text/tokenizer.ts"
import { reparameterize } from "../model/reparameterize.ts"
import { hostValues, TorchInterpreter } from "./torch.ts"
import { TorchEncoder } from "./torch-encoder.ts"

const model = tinyModel()
const { preprocessing } = tinyInfo
const tokenizer = new Tokenizer()
const live = new TorchInterpreter(model, { training: true })
const fused = reparameterize(model)
const evaluated = new TorchInterpreter(fused)
const encoder = new TorchEncoder(model, live, { preprocessing })
afterAll(() => {
  live.free()
  evaluated.free()
})

/** More than go through a tower at once. */
const images = Array.from({ length: 70 }, (_, seed): Image8 => {
  const random = Random.of(seed, "picture")
  return { width: 80, height: 70, channels: 3, data: Uint8Array.from({ length: 80 * 70 * 3 }, () => random.int(256)) }
})
const texts = images.map((_, i) => `picture ${i} ${"of it ".repeat(i % 5)}`)

test("gives the same as the fused model, also during training", async () => {
  const pixels = Float32Array.from(images.flatMap((image) => [...preprocess(image, preprocessing)]))
  const { ids, shape } = tokenizer.encodeBatch(texts)
  const expected = torch.scope(() =>
    torch.noGrad(() => ({
      images: hostValues(evaluated.unwrap(fused.encodeImage(evaluated.images(pixels, [70, 3, 64, 64])))),
      texts: hostValues(evaluated.unwrap(fused.encodeText(evaluated.tokens(ids, shape)))),
    })),
  )
  expect(worst(await encoder.encodeImages(images), expected.images)).toBeLessThan(1e-5)
  expect(worst(await encoder.encodeTexts(texts), expected.texts)).toBeLessThan(1e-5)
})

test("leaves training as it was", async () => {
  const before = imageTower()
  const tensors = torch.memory().liveTensors
  await encoder.encodeImages(images)
  expect(live.training).toBe(true)
  expect(imageTower()).toEqual(before)
  expect(torch.memory().liveTensors).toBe(tensors)
  await expect(encoder.encodeImages([{ ...images[0]!, width: -1 }])).rejects.toThrow()
  expect(live.training).toBe(true)
})

/** Weights and batch-norm statistics. */
function imageTower() {
  return [...live.hostState()].filter(([path]) => path.startsWith("image."))
}

function worst(found: Float32Array, expected: Float32Array): number {
  expect(found).toHaveLength(expected.length)
  return Math.max(...expected.map((value, i) => Math.abs(value - found[i]!)))
}
