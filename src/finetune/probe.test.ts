import { expect, test } from "vitest"
import { image8 } from "../core/image/pixels.ts"
import type { Encoder } from "../core/inference/encoder.ts"
import { type Probe, scoreProbe } from "./probe.ts"
import { outcomesOf } from "./report-data.ts"

const names = ["red", "green", "blue"]

/** Embeds a picture as the channels of a pixel, and a text as the channels it names. */
const encoder: Encoder = {
  embedDim: 3,
  encodeImages: async (images) => Float32Array.from(images.flatMap(({ data }) => [...data])),
  encodeTexts: async (texts) =>
    Float32Array.from(texts.flatMap((text) => names.map((name) => Number(text.includes(name))))),
}

const pixel = (red: number, green: number, blue: number) => image8(1, 1, Uint8Array.of(red, green, blue))

const pictures = (...captions: string[][]) => captions.map((own, i) => ({ path: `${i}.jpg`, captions: own }))

test("classes: accuracy, recall by class, the answer to each picture", async () => {
  const probe: Probe = {
    pictures: pictures(["red"], ["red"], ["red"], ["blue"]),
    images: [pixel(9, 1, 0), pixel(5, 1, 0), pixel(0, 7, 1), pixel(0, 0, 9)],
    classes: { names, templates: ["a {} thing"] },
    choices: names,
    truth: [[0], [0], [0], [2]],
    chance: { accuracy: 1 / 3 },
    damaged: 0,
    cutOff: 0,
  }
  const result = await scoreProbe(probe, encoder, 100)
  expect(result.tasks).toEqual({ accuracy: 0.75 })
  expect(result.score).toBe(0.75)
  expect(result.figures).toEqual({ accuracy: 0.75, "mean over classes": (2 / 3 + 1) / 2 })
  expect(result.predictions.map(({ choice, isRight }) => [choice, isRight])).toEqual([
    ["red", true],
    ["red", true],
    ["green", false],
    ["blue", true],
  ])
  expect(result.predictions[0]!.probability).toBeCloseTo(1, 6)
})

test("captions: both directions; a caption of two pictures belongs to both", async () => {
  const probe: Probe = {
    pictures: pictures(["red", "red green"], ["red"], ["blue"]),
    images: [pixel(5, 5, 0), pixel(9, 0, 1), pixel(0, 9, 1)],
    classes: null,
    choices: ["red", "red green", "blue"],
    truth: [[0, 1], [0], [2]],
    chance: { "find the caption": 0.4, "find the picture": 1 / 3 },
    damaged: 0,
    cutOff: 0,
  }
  const result = await scoreProbe(probe, encoder, 100)
  // The green picture takes "red green" for its caption, and "blue" fits the second picture as well.
  expect(result.figures["find the caption"]).toBeCloseTo(2 / 3, 9)
  expect(result.figures["find the picture"]).toBeCloseTo(2 / 3, 9)
  expect(result.score).toBeCloseTo(2 / 3, 9)
  expect(result.predictions.map(({ isRight }) => isRight)).toEqual([true, true, false])
})

test("pictures with very many captions are scored in time by pairs, not by pairs and captions", async () => {
  const [count, each] = [40, 1000]
  const captions = Array.from({ length: count }, (_, i) => Array.from({ length: each }, (_, k) => `red ${i} ${k}`))
  const truth = captions.map((own, i) => own.map((_, k) => i * each + k))
  let looks = 0
  const counted = truth.map(
    (own) =>
      new Proxy(own, {
        get(target, name, receiver) {
          if (typeof name === "string" && /^\d+$/.test(name)) looks++
          return Reflect.get(target, name, receiver)
        },
      }),
  )
  const probe: Probe = {
    pictures: pictures(...captions),
    images: captions.map(() => pixel(9, 1, 0)),
    classes: null,
    choices: captions.flat(),
    truth: counted,
    chance: { "find the caption": 1 / count, "find the picture": 1 / count },
    damaged: 0,
    cutOff: 0,
  }
  await scoreProbe(probe, encoder, 100)
  expect(looks).toBeLessThan(10 * count * each)
})

test("all pictures: those that became right, that became wrong, that are still wrong, still right", () => {
  const answers = (...given: [string, boolean][]) => ({
    ...{ tasks: {}, figures: {}, score: 0 },
    predictions: given.map(([choice, isRight]) => ({ choice, isRight, probability: 1 })),
  })
  const before = answers(["a", true], ["a", true], ["b", false], ["b", false])
  const after = answers(["a", true], ["b", false], ["c", false], ["a", true])
  expect(outcomesOf(before, after).map(({ index, kind }) => [index, kind])).toEqual([
    [3, "became right"],
    [1, "became wrong"],
    [2, "still wrong"],
    [0, "still right"],
  ])
})
