import { expect, test } from "vitest"
import * as torch from "../../../torch/index.ts"
import { AdamW, clipScale, gradNormOf } from "./adamw.ts"

const config = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.2 }

test.each([
  [0, 1, 1],
  [0.5, 1, 1],
  [4, 1, 1 / (4 + 1e-6)],
  [4, 0, 0],
  [4, Infinity, 1],
])("gradients of norm %d that may have %d are multiplied by %d", (norm, most, scale) => {
  expect(clipScale(norm, most)).toBe(scale)
})

test("clipped gradients, of decayed parameters and others, update as gradients of that norm do", () => {
  const updated = (clips: boolean) =>
    torch.scope(() => {
      const parameters = new Map([
        ["matrix", torch.full([2, 2], 3).requiresGrad_()],
        ["bias", torch.full([3], 2).requiresGrad_()],
      ])
      const optimizer = new AdamW(parameters, config)
      const [matrix, bias] = [...parameters.values()] as [torch.Tensor, torch.Tensor]
      const scale = clips ? 1 : 1 / 16
      matrix
        .mul(6 * scale)
        .sum()
        .add(bias.mul(scale * Math.sqrt(112 / 3)).sum())
        .backward()
      const norm = gradNormOf(parameters.values())
      expect(norm).toBeCloseTo(16 * scale, 5)
      optimizer.step(0.1, clips ? 1 / 16 : 1)
      const values = [...parameters.values()].map((parameter) => [...(parameter.detach().data() as Float32Array)])
      const moments = optimizer.hostMoments()
      optimizer.free()
      return { values, moments }
    })
  expect(updated(true)).toEqual(updated(false))
})
