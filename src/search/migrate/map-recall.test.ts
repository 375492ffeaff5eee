import { expect, test } from "vitest"
import { Random } from "../../core/arrays/random.ts"
import { l2Normalize } from "../../core/arrays/similarity.ts"
import { recallOfMap } from "./map-recall.ts"

const dim = 16
const random = Random.of(3, "map-recall")
const normals = (count: number) => Float32Array.from({ length: count * dim }, () => random.normal())

test("shares of hits, by hand: the query's own picture is left out", () => {
  const angles = (degrees: number[]) =>
    Float32Array.from(
      degrees.flatMap((angle) => [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)]),
    )
  // 22 pictures, one degree apart; the map exchanges the 10th neighbour of the first one with its 11th.
  const encoded = Array.from({ length: 22 }, (_, i) => i)
  const mapped = encoded.map((i) => (i === 10 ? 11 : i === 11 ? 10 : i))
  const recall = recallOfMap(angles([0]), angles(encoded), angles(mapped), 2, true, 22)
  expect(recall).toMatchObject({ queries: 1, at10: 0.9, at20: 1 })
  expect(recall.ofAll10).toBeCloseTo(0.9, 12)
  expect(recallOfMap(angles([0]), angles(encoded), angles(mapped), 2, false, 22)).toMatchObject({ at10: 1, at20: 1 })
})

test("a sample's recall is higher than that among all pictures, which is estimated", () => {
  const [count, sample] = [4000, 400]
  const encoded = l2Normalize(normals(count), dim)
  const noise = normals(count)
  for (const error of [0.1, 0.2, 0.4]) {
    const mapped = l2Normalize(
      encoded.map((value, i) => value + error * noise[i]!),
      dim,
    )
    const queries = l2Normalize(normals(200), dim)
    const part = (rows: Float32Array) => rows.subarray(0, sample * dim)
    const whole = recallOfMap(queries, encoded, mapped, dim, false, count)
    const found = recallOfMap(queries, part(encoded), part(mapped), dim, false, count)
    expect(found.at10 - whole.at10).toBeGreaterThan(0.1)
    expect(Math.abs(found.ofAll10 - whole.at10)).toBeLessThan(0.05)
    expect(Math.abs(found.ofAll20 - whole.at20)).toBeLessThan(0.05)
  }
})

test("a map without an error finds everything, among all pictures too", () => {
  const encoded = l2Normalize(normals(200), dim)
  const { at10, ofAll10 } = recallOfMap(encoded, encoded, encoded, dim, true, 100_000)
  expect(at10).toBe(1)
  expect(ofAll10).toBeGreaterThan(0.999)
})
