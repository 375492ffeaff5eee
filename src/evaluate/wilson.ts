/** Wilson's 95 % confidence interval of a share (1927). */

export interface Interval {
  readonly low: number
  readonly high: number
}

/** The standard normal's 97.5 % point. */
const z = 1.959963984540054

/** For a share (0..1) of right answers. Unlike the plain binomial's it is not empty where all or none are right. */
export function wilson(share: number, answers: number): Interval {
  const [shrink, square] = [1 + z ** 2 / answers, z ** 2 / (4 * answers ** 2)]
  const centre = (share + z ** 2 / (2 * answers)) / shrink
  const half = (z / shrink) * Math.sqrt((share * (1 - share)) / answers + square)
  // Rounding may put a bound on the wrong side of 0, 1 or the share.
  return { low: Math.min(share, Math.max(0, centre - half)), high: Math.max(share, Math.min(1, centre + half)) }
}
