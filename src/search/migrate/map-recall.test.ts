import { expect, test } from "vitest"
import { Random } from "../../core/arrays/random.ts"
import { l2Normalize } from "../../core/arrays/similarity.ts"
import { recallsOfMap } from "./map-recall.ts"

const dim = 16
const random = Random.of(3, "map-recall")
const normals = (count: number) => Float32Array.from({ length: count * dim }, () => random.normal())

test("shares of hits, by hand: a picture is left out of its own", () => {
  const angles = (degrees: number[]) =>
    Float32Array.from(
      degrees.flatMap((angle) => [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)]),
    )
  // 12 pictures a degree apart, and a map that exchanges the last two.
  const encoded = angles([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
  const mapped = angles([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 10])
  const { text, picture } = recallsOfMap(angles([1.2, 0]), encoded, mapped, 2, 12)
  expect(text).toMatchObject({ queries: 2, at10: 1, at20: 1, ofAll10: 1 })
  // The first six do without one of the last two, and the others without the first.
  expect(picture).toMatchObject({ queries: 12, at20: 1 })
  expect([picture.at10, picture.ofAll10]).toEqual([expect.closeTo(0.95, 12), expect.closeTo(0.95, 12)])
  expect(recallsOfMap(angles([12]), encoded, mapped, 2, 12).text.at10).toBe(1)
})

test.each([0.1, 0.2, 0.4])(
  "a sample's recall is higher than that among all pictures, which is estimated (errors of %f)",
  (error) => {
    const [count, sample] = [3000, 300]
    const [encoded, noise] = [l2Normalize(normals(count), dim), normals(count)]
    const mapped = l2Normalize(
      encoded.map((value, i) => value + error * noise[i]!),
      dim,
    )
    const texts = l2Normalize(normals(200), dim)
    const part = (rows: Float32Array) => rows.subarray(0, sample * dim)
    const whole = recallsOfMap(texts, encoded, mapped, dim, count)
    const found = recallsOfMap(texts, part(encoded), part(mapped), dim, count)
    for (const kind of ["text", "picture"] as const) {
      const excess = found[kind].at10 - whole[kind].at10
      expect(excess).toBeGreaterThan(0.1)
      // It errs less than half as much as what was measured in the sample.
      expect(Math.abs(found[kind].ofAll10 - whole[kind].at10)).toBeLessThan(excess / 2)
      expect(Math.abs(found[kind].ofAll20 - whole[kind].at20)).toBeLessThan((found[kind].at20 - whole[kind].at20) / 2)
    }
  },
)

test("a map without an error finds everything, among all pictures too", () => {
  const encoded = l2Normalize(normals(200), dim)
  for (const { at10, ofAll10 } of Object.values(recallsOfMap(encoded.slice(), encoded, encoded, dim, 100_000))) {
    expect(at10).toBe(1)
    expect(ofAll10).toBeGreaterThan(0.999)
  }
})
