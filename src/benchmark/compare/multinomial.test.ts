import { expect, test } from "vitest"
import { Random } from "../../core/arrays/random.ts"
import { drawBinomial, drawCounts } from "./multinomial.ts"

test.each([
  [40, 0.05], // few hits
  [30, 0.4], // rejection, few tries
  [1000, 0.3],
  [50, 0.9], // by its complement
  [100_000, 0.002],
])("hits of %i tries with probability %f have the binomial's mean and variance", (tries, p) => {
  const random = Random.of(1, tries)
  const draws = Array.from({ length: 20_000 }, () => drawBinomial(tries, p, random))
  const mean = draws.reduce((a, b) => a + b, 0) / draws.length
  const variance = draws.reduce((sum, each) => sum + (each - mean) ** 2, 0) / draws.length
  const expected = tries * p * (1 - p)
  // Four standard errors.
  expect(Math.abs(mean - tries * p)).toBeLessThan(4 * Math.sqrt(expected / draws.length))
  expect(Math.abs(variance / expected - 1)).toBeLessThan(0.06)
  expect(draws.every((each) => Number.isInteger(each) && each >= 0 && each <= tries)).toBe(true)
})

test("each number of hits comes as often as the binomial says", () => {
  const [tries, p, draws] = [30, 0.4, 40_000]
  const random = Random.of(2)
  const counts = new Array<number>(tries + 1).fill(0)
  for (let i = 0; i < draws; i++) counts[drawBinomial(tries, p, random)]! += 1
  let probability = (1 - p) ** tries
  let [chiSquare, cells] = [0, 0]
  for (let hits = 0; hits <= tries; hits++) {
    if (draws * probability > 10) {
      chiSquare += (counts[hits]! - draws * probability) ** 2 / (draws * probability)
      cells += 1
    }
    probability *= ((tries - hits) / (hits + 1)) * (p / (1 - p))
  }
  // The mean of chi-square is the number of cells, its standard deviation the root of twice that.
  expect(chiSquare).toBeLessThan(cells + 4 * Math.sqrt(2 * cells))
})

test("counts of kinds sum to the draws, and are drawn by the kinds' sizes", () => {
  const sizes = [500, 300, 200, 0]
  const [into, sums] = [new Float64Array(4), new Float64Array(4)]
  const random = Random.of(3)
  for (let i = 0; i < 2000; i++) {
    drawCounts(sizes, random, into)
    expect(into[0]! + into[1]! + into[2]! + into[3]!).toBe(1000)
    for (const [kind, count] of into.entries()) sums[kind]! += count / 2000
  }
  for (const [kind, size] of sizes.entries()) expect(Math.abs(sums[kind]! - size)).toBeLessThan(1.6)
})
