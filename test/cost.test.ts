/**
 * The family's sizes. Parameters, in millions, are those of the reference implementations; multiply-adds, in billions,
 * are this interpreter's own, written down to notice a change.
 */
import { expect, test } from "vitest"
import { variants } from "../src/core/family/variants.ts"
import { Clip } from "../src/model/clip.ts"
import { reparameterize } from "../src/model/reparameterize.ts"
import { measureCost } from "../src/tensor/cost.ts"

test.each([
  ["mobileclip-s0", { image: 11.357, imageGmac: 2.377, text: 42.435 }],
  ["mobileclip-s1", { image: 21.461, imageGmac: 4.641, text: 63.428 }],
  ["mobileclip-s2", { image: 35.702, imageGmac: 7.813, text: 63.428 }],
  ["mobileclip-s3", { image: 125.074, imageGmac: 14.785, text: 123.65 }],
  ["mobileclip-s4", { image: 321.57, imageGmac: null, text: 123.65 }],
] as const)("%s, fused", (name, expected) => {
  const { model } = variants[name]
  const trained = new Clip(model)
  for (const parameter of trained.namedParameters().values()) parameter.source = () => new Float32Array(parameter.size)
  const clip = reparameterize(trained)
  const { imageSize } = model
  const image = measureCost(clip.namedParameters(), [[1, 3, imageSize, imageSize]], (x) => clip.encodeImage(x!))
  const text = measureCost(clip.namedParameters(), [[1, 77]], (x) => clip.encodeText(x!))
  expect(image.parameters / 1e6).toBeCloseTo(expected.image, 3)
  expect(text.parameters / 1e6).toBeCloseTo(expected.text, 3)
  if (expected.imageGmac) expect(image.multiplyAdds / 1e9).toBeCloseTo(expected.imageGmac, 3)
})
