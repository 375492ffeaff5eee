/**
 * 95 % confidence intervals without randomness: Wilson's for a share, and square-and-add for what is made of several scores.
 *
 * Wilson (1927). Square-and-add: Newcombe, "Interval estimation for the difference between independent proportions" (1998),
 * method 10; Zou and Donner (2008) for any sum. Each score's distance to its bound is squared, and the squares are added.
 */

export interface Interval {
  readonly low: number
  readonly high: number
}

export const confidence = 0.95

/** The standard normal's 97.5 % point. */
const z = 1.959963984540054

/** For a share of right answers. Unlike the plain binomial's it is not empty where all or none are right. */
export function wilson(share: number, answers: number): Interval {
  const [shrink, square] = [1 + z ** 2 / answers, z ** 2 / (4 * answers ** 2)]
  const centre = (share + z ** 2 / (2 * answers)) / shrink
  const half = (z / shrink) * Math.sqrt((share * (1 - share)) / answers + square)
  // Rounding may put a bound on the wrong side of 0, 1 or the share.
  return { low: Math.min(share, Math.max(0, centre - half)), high: Math.max(share, Math.min(1, centre + half)) }
}

export interface Estimate {
  readonly value: number
  readonly interval: Interval
}

/** Of `to - from`, where neither knows of the other's pictures: too wide where both answered the same ones. */
export function differenceInterval(from: Estimate, to: Estimate): Interval {
  const difference = to.value - from.value
  return {
    low: difference - Math.hypot(to.value - to.interval.low, from.interval.high - from.value),
    high: difference + Math.hypot(to.interval.high - to.value, from.value - from.interval.low),
  }
}

/** Of the mean of scores on different pictures. */
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
