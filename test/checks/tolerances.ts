/** Every tolerance that is not zero, with its reason. */

/**
 * Features against the float64 reference, relative to their standard deviation. The references' own float32 error is
 * 1e-6 to 1e-5 of it in towers of this depth; another order of summation and another erf give about as much again.
 */
export const features = 1e-4

/** Sums over a fused kernel against the reference's float32 fusion, relative to the sum of magnitudes: rounding of each term. */
export const checksum = 1e-6

/** Single fused values: a few roundings to float32, relative to the largest magnitude in the tensor. */
export const fusedValue = 2e-6

/** exp(logit_scale) in float32; the JSON has 9 significant digits. */
export const logitScale = 1e-6

/**
 * Training. `exactness` is absolute, for features of unit length and losses: float64 sums differ in their last digits
 * and the JSON has 13 digits; float32 has 6e-8 per operation, and batch norm over 8 samples amplifies it.
 * `noise` counts in the file's own per-parameter tolerances, which are what one float32 run differs from float64 by:
 * a second float32 run, with other summation orders, is another draw of the same noise.
 */
export const training = {
  float64: { exactness: 1e-11, noise: 1 },
  float32: { exactness: 5e-6, noise: 10 },
} as const

/** Caption loss, about 10.8, and log-sum-exps of that size, relative to logits of std 0.03: the JSON's 9 digits of a float32. */
export const captionLoss = 1e-5
export const logSumExp = 1e-3

/** Losses and their gradients in float64, absolute: the JSON has 13 digits of values up to 100. */
export const loss = 1e-10

/**
 * Evaluation. Metrics are shares of the same counts: float64 ones differ in the order of a sum; group averages, recalls and
 * average precisions were computed in float32, which rounds to 6e-8 of 1 (twice for a mean of two). `vectors` of unit length
 * are means and products of float32 numbers: a few roundings.
 */
export const evaluation = { float64: 1e-14, float32: 1e-7, vectors: 5e-7 } as const
