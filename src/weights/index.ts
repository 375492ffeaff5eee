/** Weights of any origin, from code: detected, converted, exported. */
export { UserError } from "../core/errors.ts"
export { type Converted, type ConvertOptions, convert, convertDefaults } from "./convert.ts"
export { exportCheckpoint } from "./export-checkpoint.ts"
export { type Weights, withWeights } from "./open-weights.ts"
