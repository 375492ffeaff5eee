/**
 * Forward and backward of a step as a CUDA graph: recorded once, then given to the GPU by one call. A trial, which
 * `cuda-step --graph` times; `train` does not use it.
 *
 * All inputs (pictures, tokens, teachers' rows) are tensors that stay where they are, which `refill` fills; texts are computed
 * to the full context length. Clipping and AdamW come after the replay as in every step, so that the host still sees a
 * loss or a norm that is not finite before anything is updated. Not recorded: captioners, whose losses are read chunk by
 * chunk; RangeAugment, which draws anew; several ranks; a loss scale that changes.
 */
import type { Batch } from "../../src/data/training/batch.ts"
import { TorchInterpreter, TorchTensor } from "../../src/tensor/torch.ts"
import { type GradientConfig, type GradientTensors, gradientTensors, type Trainer } from "../../src/train/step.ts"
import * as torch from "../../torch/index.ts"

interface FixedInput {
  readonly target: torch.Tensor
  readonly source: Float32Array | BigInt64Array
}

/** An interpreter that brings inputs to the device once, and gives the same tensors in the same order to every later pass. */
export class FixedInputs extends TorchInterpreter {
  private readonly inputs: FixedInput[] = []
  private next = 0

  /** Before each pass. */
  begin(): void {
    this.next = 0
  }

  override images(pixels: Float32Array, shape: readonly number[]): TorchTensor {
    return this.wrap(this.fixed(pixels, () => super.images(pixels, shape).value))
  }

  /** To the full length: that of a batch's longest text would be another shape. */
  override tokens(ids: BigInt64Array, shape: readonly number[]): TorchTensor {
    const place = () => torch.tensor(ids, shape, { device: this.device })
    const [texts, columns] = shape as readonly [number, number]
    return new TorchTensor(this, this.fixed(ids, place), { lengths: Array.from({ length: texts }, () => columns) })
  }

  override rows(values: Float32Array, shape: readonly number[]): torch.Tensor {
    return this.fixed(values, () => super.rows(values, shape))
  }

  /** Copies the host's values to the device again. */
  refill(): void {
    const { device } = this
    const copy = ({ target, source }: FixedInput) =>
      target.copy_(torch.tensor(source, target.shape, { device, dtype: target.dtype }))
    torch.noGrad(() => {
      for (const input of this.inputs) torch.scope(() => void copy(input))
    })
  }

  override free(): void {
    super.free()
    for (const { target } of this.inputs) target.free()
  }

  private fixed(source: Float32Array | BigInt64Array, place: () => torch.Tensor): torch.Tensor {
    const input = this.inputs[this.next] ?? { target: torch.keep(place()), source }
    this.inputs[this.next] = input
    this.next += 1
    return input.target
  }
}

/** One step's gradients, again and again. */
export interface RecordedGradients {
  /** Afterwards every parameter has its gradient. Returns the loss. */
  run(): number
  free(): void
}

/**
 * Without a GPU the pass is made again each time, on the same inputs.
 *
 * @throws Error where the pass does what cannot be recorded
 */
export function recordGradients(
  trainer: Trainer & { readonly interpreter: FixedInputs },
  batch: Batch,
  config: GradientConfig,
): RecordedGradients {
  const { interpreter } = trainer
  const pass = (): GradientTensors => {
    interpreter.begin()
    return torch.scope(() => gradientTensors(trainer, batch, config))
  }
  if (!torch.graphsAvailable()) return { run: () => torch.scope(() => pass().total.item()), free() {} }
  const { graph, result } = torch.Graph.record(pass)
  return {
    run() {
      interpreter.refill()
      graph.replay()
      return result.total.item()
    },
    free: () => graph.free(),
  }
}
