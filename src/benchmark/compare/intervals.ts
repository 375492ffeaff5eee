/**
 * 95 % confidence intervals of what is made of several scores, without randomness, by square-and-add: Newcombe, "Interval
 * estimation for the difference between independent proportions" (1998), method 10; Zou and Donner (2008) for any sum. Each
 * score's distance to its bound is squared, and the squares are added.
 */
import type { Interval } from "../../evaluate/wilson.ts"

export { type Interval, wilson } from "../../evaluate/wilson.ts"

export const confidence = 0.95

export interface Estimate {
  readonly value: number
  readonly interval: Interval
}

/** That of `to - from`, where neither knows of the other's pictures: too wide where both answered the same ones. */
export function differenceInterval(from: Estimate, to: Estimate): Interval {
  const difference = to.value - from.value
  return {
    low: difference - Math.hypot(to.value - to.interval.low, from.interval.high - from.value),
    high: difference + Math.hypot(to.interval.high - to.value, from.value - from.interval.low),
  }
}

/** That of the mean of scores on different pictures. */
export function meanInterval(estimates: readonly Estimate[]): Interval {
  const mean = estimates.reduce((sum, { value }) => sum + value, 0) / estimates.length
  const distance = (bound: (estimate: Estimate) => number) =>
    Math.hypot(...estimates.map((estimate) => estimate.value - bound(estimate))) / estimates.length
  return {
    low: mean - distance(({ interval }) => interval.low),
    high: mean + distance(({ interval }) => interval.high),
  }
}

/** Where 0 lies in it, the difference may be chance. */
export function covers({ low, high }: Interval, value: number): boolean {
  return low <= value && value <= high
}
