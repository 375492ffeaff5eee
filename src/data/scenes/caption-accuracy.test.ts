import { expect, test } from "vitest"
import { captionAccuracy } from "./caption-accuracy.ts"
import { captionsOf } from "./captions.ts"
import { sampleScene } from "./scene.ts"

const scenes = Array.from({ length: 400 }, (_, index) => sampleScene(3, "test", index))
const precise = scenes.map((scene) => captionsOf(scene).caption)

test("precise captions are true in everything", () => {
  const perfect = { shape: 1, colour: 1, pattern: 1, count: 1, relation: 1, average: 1 }
  expect(captionAccuracy(scenes, precise)).toEqual(perfect)
})

test("captions of other pictures are as right as chance", () => {
  const others = precise.map((_, i) => precise[(i + 4) % precise.length]!)
  const { shape, colour, count, relation } = captionAccuracy(scenes, others)
  expect(shape).toBeLessThan(0.15)
  expect(colour).toBeLessThan(0.3)
  expect(count).toBeLessThan(0.5)
  expect(relation).toBeLessThan(0.35)
})

test("one wrong word is one wrong kind of word", () => {
  const wrong = (from: RegExp, to: string) =>
    captionAccuracy(
      scenes,
      precise.map((caption) => caption.replace(from, to)),
    )
  expect(wrong(/\b(striped|dotted|checkered|solid)\b/, "tiled")).toMatchObject({ shape: 1, colour: 1, count: 1 })
  const mirrored = wrong(/\b(left|right) of\b/, "above")
  expect(mirrored.shape).toBe(1)
  expect(mirrored.relation).toBeCloseTo(0.5, 1)
  expect(wrong(/\b(two|three|four)\b/, "five").count).toBeCloseTo(0.25, 1)
})

test("a caption that says nothing is wrong where an answer is expected", () => {
  const silent = captionAccuracy(
    scenes,
    scenes.map(() => "a picture"),
  )
  expect(silent).toMatchObject({ shape: 0, colour: Number.NaN, count: 0, relation: 0 })
})
