/** Steps of a model on one batch, and how long their parts take. */
import type { Precision } from "../../src/core/precision.ts"
import type { Batch } from "../../src/data/training/batch.ts"
import type { Clip } from "../../src/model/clip.ts"
import { TorchInterpreter } from "../../src/tensor/torch.ts"
import type { ObjectiveConfig } from "../../src/train/objective.ts"
import { AdamW } from "../../src/train/optimizer/adamw.ts"
import { computeGradients, updateParameters } from "../../src/train/step.ts"
import { defaultTrainConfig } from "../../src/train/train.ts"
import * as torch from "../../torch/index.ts"

/** In milliseconds. */
export interface StepTimes {
  /** Forward and backward. */
  readonly gradients: number
  /** Clipping and AdamW. */
  readonly update: number
  readonly total: number
}

export interface TrainerOptions {
  readonly objective: ObjectiveConfig
  readonly device?: torch.Device
  readonly precision?: Precision
}

export class TimedTrainer {
  readonly interpreter: TorchInterpreter
  readonly optimizer: AdamW

  constructor(
    readonly model: Clip,
    private readonly options: TrainerOptions,
  ) {
    const { device = "cpu" } = options
    // The interpreter itself decides where channels are innermost.
    this.interpreter = new TorchInterpreter(model, { training: true, device, channelsLast: device !== "cpu" })
    this.optimizer = new AdamW(this.interpreter.trainable(), defaultTrainConfig)
  }

  /** Forward and backward; the loss. */
  gradients(batch: Batch): number {
    const { objective, precision } = this.options
    return computeGradients(this, batch, { objective, ...(precision && { precision }) }).loss
  }

  update(): void {
    updateParameters(this, defaultTrainConfig)
  }

  /** On a GPU, too, each part ends when its work is done. */
  step(batch: Batch): StepTimes & { readonly loss: number } {
    const { device = "cpu" } = this.options
    const start = performance.now()
    const loss = this.gradients(batch)
    torch.synchronize(device)
    const middle = performance.now()
    this.update()
    torch.synchronize(device)
    const end = performance.now()
    return { loss, gradients: middle - start, update: end - middle, total: end - start }
  }

  free(): void {
    this.optimizer.free()
    this.interpreter.free()
  }
}
