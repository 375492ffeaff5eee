import { expect, test } from "vitest"
import { type Image8, image8 } from "../core/image/pixels.ts"
import type { Encoder } from "../core/inference/encoder.ts"
import { imageVectors } from "./encode.ts"
import { classify, retrieval, zeroShot } from "./tasks.ts"

const colours = ["red", "green", "blue"]

/** Embeds a picture as the channels of its pixel, and a text as how often it names each channel. */
function fakeEncoder(): Encoder & { readonly batches: number[]; readonly texts: string[] } {
  const batches: number[] = []
  const texts: string[] = []
  return {
    batches,
    texts,
    embedDim: 3,
    async encodeImages(images) {
      batches.push(images.length)
      return Float32Array.from(images.flatMap(({ data }) => [...data]))
    },
    async encodeTexts(batch) {
      texts.push(...batch)
      return Float32Array.from(
        batch.flatMap((text) => colours.map((name) => (text.includes(name) ? text.length : 0.5))),
      )
    },
  }
}

function pixel(red: number, green: number, blue: number): Image8 {
  return image8(1, 1, Uint8Array.of(red, green, blue))
}

const pictures = [pixel(200, 10, 0), pixel(0, 90, 100), pixel(9, 8, 100), pixel(0, 50, 0)]

test("image vectors are of unit length and encoded in batches", async () => {
  const encoder = fakeEncoder()
  const progress: number[] = []
  const vectors = await imageVectors(encoder, new Array(150).fill(pixel(30, 0, 40)), (done) => progress.push(done))
  expect(encoder.batches).toEqual([64, 64, 22])
  expect(progress).toEqual([64, 128, 150])
  expect(vectors).toHaveLength(450)
  expect([...vectors.subarray(447)]).toEqual([Math.fround(0.6), 0, Math.fround(0.8)])
})

test("classes: only labelled pictures count", async () => {
  const encoder = fakeEncoder()
  const task = { kind: "classes", name: "colour", classNames: colours, templates: ["{}", "a {} thing"] } as const
  const result = await zeroShot(encoder, { ...task, labels: [0, 1, 2, null] }, await imageVectors(encoder, pictures))
  expect(result).toEqual({
    name: "colour",
    accuracy: 2 / 3,
    accuracyAt5: null,
    meanPerClassRecall: 2 / 3,
    chance: 1 / 3,
    images: 3,
    confusion: [
      [1, 0, 0],
      [0, 0, 1],
      [0, 0, 1],
    ],
  })
  const none = { ...task, labels: pictures.map(() => null) }
  await expect(zeroShot(encoder, none, await imageVectors(encoder, pictures))).rejects.toThrow(/none of the images/)
})

test("candidates: each picture chooses among its own captions, and equal captions are encoded once", async () => {
  const encoder = fakeEncoder()
  const captions = [["red", "blue"], ["red", "green"], [], ["green", "red"]]
  const task = { kind: "candidates", name: "which", captions, labels: [0, 0, null, 0] } as const
  const result = await zeroShot(encoder, task, await imageVectors(encoder, pictures))
  expect(encoder.texts).toEqual(["red", "blue", "green"])
  expect(result).toMatchObject({
    accuracy: 2 / 3,
    chance: 0.5,
    images: 3,
    confusion: [
      [2, 1],
      [0, 0],
    ],
  })
})

test("retrieval", async () => {
  const encoder = fakeEncoder()
  const images = await imageVectors(encoder, pictures)
  const result = await retrieval(encoder, images, ["red", "green and blue", "blue", "green"], [0, 1, 2, 3])
  expect(result).toMatchObject({ images: 4, texts: 4, recallAt1: { textToImage: 1, imageToText: 1 } })
})

test("classes of many pictures, beyond a block of scores, are those of each picture", async () => {
  const encoder = fakeEncoder()
  const many = Array.from({ length: 600 }, (_, i) => pixel((i * 37) % 256, (i * 91) % 256, (i * 53) % 256))
  const labels = many.map((_, i) => i % 3)
  const task = { name: "colour", classNames: colours, templates: ["{}"], labels } as const
  const whole = await zeroShot(encoder, { kind: "classes", ...task }, await imageVectors(encoder, many))
  // The encoder's vector of "red" is (3, 0.5, 0.5), and so on.
  const score = ({ data }: Image8, c: number) => {
    const text = colours.map((name, i) => (i === c ? name.length : 0.5))
    return text.reduce((sum, value, i) => sum + value * data[i]!, 0) / Math.hypot(...text)
  }
  const scores = many.map((image) => [0, 1, 2].map((c) => score(image, c)))
  const right = scores.filter((own, i) => own.indexOf(Math.max(...own)) === labels[i])
  expect(whole.accuracy).toBe(right.length / 600)
  const { best, kept } = await classify(encoder, task, asked(many))
  expect(kept).toBe(3)
  expect(labels.filter((label, i) => best[i * kept] === label)).toHaveLength(right.length)
  await expect(classify(encoder, task, asked(many.slice(1)))).rejects.toThrow("599")
})

async function* asked(images: readonly Image8[]): AsyncGenerator<Image8> {
  yield* images
}
