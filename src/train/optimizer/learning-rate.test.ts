import { expect, test } from "vitest"
import { layerDecay } from "./learning-rate.ts"

test("a layer's factor is the decay to the power of the number of layers above it, in each tower", () => {
  const paths = [
    "image.stem.0.weight",
    "image.stages.0.blocks.0.weight",
    "image.stages.1.downsample.weight",
    "image.stages.1.blocks.0.weight",
    "image.head.weight",
    "text.tokenEmbedding",
    "text.blocks.0.weight",
    "text.projection",
    "logitScale",
  ]
  const scale = layerDecay(paths, 0.5)
  expect(paths.map(scale)).toEqual([1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 1 / 4, 1 / 2, 1, 1])
})
