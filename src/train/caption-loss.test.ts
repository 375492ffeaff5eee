import { expect, test } from "vitest"
import * as torch from "../../torch/index.ts"
import { hash, u } from "../core/fill.ts"
import { fnv1a } from "../core/random.ts"
import { captionLoss, cocaLoss } from "./caption-loss.ts"

/** Inputs by the golden data's rules; values and gradients of open_clip's CoCaLoss in float64 (golden `loss.json`). */
const leaf = (values: Float32Array, shape: number[]) =>
  torch.tensor(values, shape, { dtype: "float64", requiresGrad: true })
const logits = () =>
  leaf(
    Float32Array.from({ length: 8 * 6 * 11 }, (_, i) => 3 * Math.fround(u("loss.coca.logits", i))),
    [8, 6, 11],
  )
const labels = BigInt64Array.from({ length: 48 }, (_, i) => BigInt(hash(fnv1a("loss.coca.labels"), i) % 11))

function unitRows(name: string): torch.Tensor {
  const values = Float64Array.from({ length: 8 * 16 }, (_, i) => u(name, i))
  const rows = Array.from({ length: 8 }, (_, n) => values.subarray(n * 16, (n + 1) * 16))
  return leaf(Float32Array.from(rows.flatMap((row) => [...row].map((x) => x / Math.hypot(...row)))), [8, 16])
}

test("CoCa's losses and gradients are open_clip's", () => {
  const [image, text, scores] = [unitRows("loss.image"), unitRows("loss.text"), logits()]
  const scale = torch.tensor([1 / 0.07], [], { dtype: "float64" })
  const outputs = { image, text, logits: scores, labels: torch.tensor(labels, [8, 6]) }
  const { total, contrastive, caption } = cocaLoss(outputs, scale)
  expect(contrastive.item()).toBeCloseTo(4.715007511647, 10)
  expect(caption.item()).toBeCloseTo(7.401721694415, 10)
  expect(total.item()).toBeCloseTo(12.11672920606, 10)
  total.backward()
  close(gradient(scores).slice(0, 4), [0.001148134641685, 0.002420518579825, 0.0004438092775766, 0.02002096711092])
  close(gradient(scores).slice(-3), [0.000259365608419, -0.04420524954134, 0.0001640056923101])
  close(gradient(image).slice(0, 3), [-0.1159072536919, 0.6613885127013, 0.118664943058])
})

test("labels that are padding neither count nor get gradients", () => {
  const scores = logits()
  captionLoss(scores, torch.tensor(labels, [8, 6]), 0).backward()
  const gradients = gradient(scores)
  const touched = Array.from(labels, (_, i) => gradients.slice(i * 11, (i + 1) * 11).some((x) => x !== 0))
  expect(touched).toEqual(Array.from(labels, (label) => label !== 0n))
  expect(touched).toContain(false)
})

function gradient(tensor: torch.Tensor): number[] {
  return [...(tensor.grad!.data() as Float64Array)]
}

function close(found: readonly number[], expected: readonly number[]): void {
  expected.forEach((value, i) => {
    expect(found[i]).toBeCloseTo(value, 11)
  })
}
