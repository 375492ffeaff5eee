/** Weights of any origin, from code: brought from the hub, detected, converted, exported. */
export { UserError } from "../core/errors.ts"
export { type PullOptions, type PullResult, pull } from "../hub/pull.ts"
export { type License, type Release, released } from "../hub/released.ts"
export { type Converted, type ConvertOptions, convert, convertDefaults } from "./convert.ts"
export { exportCheckpoint } from "./export-checkpoint.ts"
export { type FindOptions, findModelFiles, type ModelSource } from "./find-model.ts"
export { modelDirectory } from "./model-directory.ts"
export { type Weights, withWeights } from "./open-weights.ts"
