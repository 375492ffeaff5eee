import { expect, test } from "vitest"
import { FrameRate } from "./camera.ts"
import { labelsIn, templatesIn } from "./labels.ts"

test("labels are lines, or between commas, each once; prompts are lines", () => {
  expect(labelsIn(" cat\n\ndog, bird ,cat\n")).toEqual(["cat", "dog", "bird"])
  expect(templatesIn("a photo of a {}, outside.\n\n  {} \n{}")).toEqual(["a photo of a {}, outside.", "{}"])
})

test("the rate is the median of the last 30 frames: one pause does not change it, and old frames do not count", () => {
  const rate = new FrameRate()
  rate.add(100)
  rate.add(100)
  expect(rate.perSecond).toBeNull()
  rate.add(5000)
  expect(rate.perSecond).toBe(10)
  for (let i = 0; i < 30; i++) rate.add(50)
  expect([rate.perSecond, rate.frames]).toEqual([20, 30])
})
