/**
 * Scaling of the loss for float16, in which small gradients would underflow. A step whose loss or gradients overflow is
 * left out, and the scale is halved; it doubles after 2,000 good steps. Source: PyTorch `torch.cuda.amp.GradScaler`.
 */
import { UserError } from "../../core/errors.ts"

export interface LossScalerState {
  readonly scale: number
  /** Steps without an overflow since the scale changed. */
  readonly goodSteps: number
}

const growthInterval = 2000

export const initialLossScale: LossScalerState = { scale: 65536, goodSteps: 0 }

/** The state after a step. Throws a UserError when step after step overflows, down to a scale below 1. */
export function afterStep({ scale, goodSteps }: LossScalerState, overflow: boolean): LossScalerState {
  if (overflow) {
    if (scale < 1)
      throw new UserError(
        "loss or gradients overflow float16 at any loss scale",
        "lower the learning rate, or train in bfloat16",
      )
    return { scale: scale / 2, goodSteps: 0 }
  }
  return goodSteps + 1 === growthInterval ? { scale: scale * 2, goodSteps: 0 } : { scale, goodSteps: goodSteps + 1 }
}
