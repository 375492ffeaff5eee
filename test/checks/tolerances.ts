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
