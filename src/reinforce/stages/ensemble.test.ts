import { expect, test } from "vitest"
import type { Preprocessing } from "../../core/image/preprocess.ts"
import type { Teacher } from "../../core/inference/teacher.ts"
import { Ensemble } from "./ensemble.ts"

const plain: Preprocessing = { size: 2, interpolation: "bicubic", mean: [0, 0, 0], std: [1, 1, 1] }
const other: Preprocessing = { ...plain, interpolation: "bilinear" }
const normalized: Preprocessing = { ...plain, mean: [0.5, 0.5, 0.5] }

function teacher(name: string, preprocessing: Preprocessing, vector: readonly number[]): Teacher {
  const rows = async (count: number) =>
    Float32Array.from({ length: count * vector.length }, (_, i) => vector[i % vector.length]!)
  return {
    name,
    embedDim: vector.length,
    preprocessing,
    identity: `${name}@1`,
    encodePixels: (pixels, count) => rows(count).then((values) => values.map((value) => value * pixels[0]!)),
    encodeTexts: (texts) => rows(texts.length),
    async [Symbol.asyncDispose]() {},
  }
}

test("vectors are of unit length each and lie side by side in the order of the teachers", async () => {
  const ensemble = new Ensemble([teacher("b", plain, [3, 4]), teacher("a", plain, [0, 0, 5])])
  expect(ensemble).toMatchObject({ embedDim: 5, identity: "b@1 + a@1" })
  expect([...(await ensemble.encodeTexts(["x", "y"]))].map((value) => Math.round(value * 1e6) / 1e6)).toEqual([
    ...[0.6, 0.8, 0, 0, 1],
    ...[0.6, 0.8, 0, 0, 1],
  ])
})

test("teachers of one size and normalisation share pixels; each is given its own", async () => {
  const ensemble = new Ensemble([
    teacher("a", plain, [1, 0]),
    teacher("b", normalized, [1, 0]),
    teacher("c", other, [1, 0]),
  ])
  expect(ensemble.targets).toEqual([plain, normalized])
  const vectors = await ensemble.encodePixels([Float32Array.of(2), Float32Array.of(-2)], 1)
  expect([...vectors].map((value) => value + 0)).toEqual([1, 0, -1, 0, 1, 0])
})

test.each([[[0, 0]], [[Number.NaN, 1]], [[Number.POSITIVE_INFINITY, 1]]])(
  "a teacher that gives %j is named",
  async (vector) => {
    const ensemble = new Ensemble([teacher("broken", plain, vector)])
    await expect(ensemble.encodeTexts(["x"])).rejects.toThrow("the teacher broken gave a vector of length")
  },
)
