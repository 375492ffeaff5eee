/**
 * How often each of several kinds comes in so many draws. Drawing N pictures with replacement gives exactly these counts for
 * pictures that are alike, in time that grows with their kinds and not with N.
 */
import type { Random } from "../../core/arrays/random.ts"

/** Fills `into` with counts that sum to that of `sizes`, each drawn in proportion to its size. */
export function drawCounts(sizes: readonly number[], random: Random, into: Float64Array): void {
  let left = sizes.reduce((sum, size) => sum + size, 0)
  let draws = left
  for (const [kind, size] of sizes.entries()) {
    const count = size === left ? draws : drawBinomial(draws, size / left, random)
    into[kind] = count
    draws -= count
    left -= size
  }
}

/** Below this many expected hits they are counted one after the other. */
const fewHits = 10

/** Hits among `tries` of a probability from 0 to 1. */
export function drawBinomial(tries: number, probability: number, random: Random): number {
  if (tries === 0 || probability <= 0) return 0
  if (probability > 0.5) return tries - drawBinomial(tries, 1 - probability, random)
  return tries * probability < fewHits ? fewOf(tries, probability, random) : manyOf(tries, probability, random)
}

/** By the distances between hits, which are geometric. */
function fewOf(tries: number, probability: number, random: Random): number {
  const scale = 1 / Math.log1p(-probability)
  for (let hits = 0, at = 0; ; hits++) {
    at += 1 + Math.floor(Math.log(1 - random.uniform()) * scale)
    if (at > tries) return hits
  }
}

/** Transformed rejection with squeeze: Hörmann, "The generation of binomial random variates" (1993), algorithm BTRS. */
function manyOf(tries: number, p: number, random: Random): number {
  const spread = Math.sqrt(tries * p * (1 - p))
  const b = 1.15 + 2.53 * spread
  const a = -0.0873 + 0.0248 * b + 0.01 * p
  const [centre, squeeze] = [tries * p + 0.5, 0.92 - 4.2 / b]
  const alpha = (2.83 + 5.1 / b) * spread
  const mode = Math.floor((tries + 1) * p)
  const logWays = (hits: number) => logFactorial(hits) + logFactorial(tries - hits)
  for (;;) {
    const u = random.uniform() - 0.5
    const v = 1 - random.uniform()
    const us = 0.5 - Math.abs(u)
    const hits = Math.floor(((2 * a) / us + b) * u + centre)
    if (us >= 0.07 && v <= squeeze) return hits
    if (!(hits >= 0 && hits <= tries)) continue
    const bound = logWays(mode) - logWays(hits) + (hits - mode) * Math.log(p / (1 - p))
    if (Math.log((v * alpha) / (a / us ** 2 + b)) <= bound) return hits
  }
}

/** Stirling's series; the first values by their product. */
function logFactorial(n: number): number {
  if (n < 10) {
    let product = 1
    for (let i = 2; i <= n; i++) product *= i
    return Math.log(product)
  }
  const x = n + 1
  return (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + 1 / (12 * x) - 1 / (360 * x ** 3)
}
