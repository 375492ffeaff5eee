/** The forms that are fast with the channels innermost give what the plain operations give. */
import { expect, test } from "vitest"
import * as torch from "../../torch/index.ts"
import { hostValues } from "./torch.ts"
import { convolve, geluOfPixels, inChannelsLast } from "./torch-layout.ts"

/** Sums of 49 products in another order, in float32. */
const TOLERANCE = 1e-5

torch.manualSeed(0)

test.each([
  ["dense", 6, 1, 3],
  ["depthwise", 4, 4, 7],
  ["depthwise with three filters a channel", 12, 4, 7],
  ["in groups of two channels", 6, 2, 3],
] as const)("a convolution is the plain one: %s", (_, filters, groups, size) => {
  const pixels = torch.randn([2, 4, 9, 10])
  const [weight, bias] = [torch.randn([filters, 4 / groups, size, size]), torch.randn([filters])]
  const plain = torch.conv2d(pixels, weight, bias, 2, [3, 1], 1, groups)
  const ours = convolve(inChannelsLast(pixels), weight, bias, { stride: 2, padding: [3, 1], groups })
  expect(ours.shape).toEqual(plain.shape)
  expect(worst(ours, plain)).toBeLessThan(TOLERANCE * Math.sqrt(size * size * 4))
})

test("GELU is the plain one, and leaves the channels innermost", () => {
  const pixels = torch.randn([2, 5, 3, 4])
  const ours = geluOfPixels(inChannelsLast(pixels))
  expect(worst(ours, pixels.gelu())).toBeLessThan(1e-6)
  expect(torch.call("stride.int", ours, 1)).toBe(1)
})

function worst(found: torch.Tensor, expected: torch.Tensor): number {
  const values = hostValues(expected)
  return hostValues(found).reduce((max, value, i) => Math.max(max, Math.abs(value - values[i]!)), 0)
}
