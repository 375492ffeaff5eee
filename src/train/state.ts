/** The state of a training run as one value, and its safetensors form: a checkpoint that also has the optimiser in it. */
import { UserError } from "../core/errors.ts"
import type { CheckpointInfo } from "../model/checkpoint.ts"
import type { Clip } from "../model/clip.ts"

/** First and second moment of a parameter, row-major. */
export interface Moments {
  readonly first: Float32Array
  readonly second: Float32Array
}

export interface TrainingState {
  readonly info: CheckpointInfo
  /** Updates made. */
  readonly step: number
  readonly seed: number
  /** Parameters and buffers by path in our module tree. */
  readonly tensors: ReadonlyMap<string, Float32Array>
  readonly moments: ReadonlyMap<string, Moments>
}

/** Points the model's parameters at the state's values. Throws when the state is of another model. */
export function loadTrainingState(model: Clip, state: TrainingState): void {
  for (const [path, parameter] of model.namedParameters()) {
    const values = state.tensors.get(path)
    if (values?.length !== parameter.size) {
      throw new UserError(
        `the training state to resume has no tensor "${path}" of shape [${parameter.shape}]`,
        "resume with the model the run was started with",
      )
    }
    parameter.source = () => values
  }
}
