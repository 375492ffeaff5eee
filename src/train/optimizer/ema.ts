/** Exponential moving average of a model (EMA): a copy of the weights that follows every update by a small step. It is the one to use. */
import * as torch from "../../../torch/index.ts"
import { UserError } from "../../core/errors.ts"
import { type HostCopy, ownCopy, type TorchInterpreter } from "../../tensor/torch.ts"

interface EmaConfig {
  /** The share of the average that stays at each update: 0.9995 in MobileCLIP's recipe. */
  readonly decay: number
  /** Whether the share grows from 0.1 to `decay`. */
  readonly warmup?: boolean | undefined
}

/**
 * The share that stays after t = `updates` updates. With a warm-up it is (1 + t) / (10 + t) until that is more than
 * `decay`: until then, the average is over about the last tenth of the updates, and forgets the first weights.
 */
export function emaDecayAt(updates: number, { decay, warmup = false }: EmaConfig): number {
  return warmup ? Math.min(decay, (1 + updates) / (10 + updates)) : decay
}

/** The share of the first weights in the average after so many updates, 0 to 1. */
export function initialShare(updates: number, config: EmaConfig): number {
  let share = 1
  for (let t = 0; t < updates; t++) {
    const decay = emaDecayAt(t, config)
    if (decay === config.decay) return share * decay ** (updates - t)
    share *= decay
  }
  return share
}

/** A note for before a run, where its average will still hold a hundredth of the first weights or more at its end; else null. */
export function emaNote(steps: number, config: EmaConfig): string | null {
  const percent = Math.round(100 * initialShare(steps, config))
  if (percent < 1) return null
  const otherwise = config.warmup ? "" : "--ema-warmup (ema.warmup=true) lets it begin small, or "
  return `ema ${config.decay} over ${steps} steps: ${percent} % of the average that is saved as the model is still the weights the run begins with; ${otherwise}choose a smaller decay or a longer run`
}

export class Ema {
  private readonly names: readonly string[]
  private readonly sources: readonly torch.Tensor[]
  private readonly averages: readonly torch.Tensor[]

  constructor(
    private readonly interpreter: TorchInterpreter,
    private readonly config: EmaConfig,
  ) {
    const followed = [...interpreter.state()].filter(([, tensor]) => tensor.dtype !== "int64")
    this.names = followed.map(([path]) => path)
    this.sources = followed.map(([, tensor]) => tensor)
    this.averages = torch.noGrad(() => this.sources.map((tensor) => tensor.detach().clone()))
  }

  /**
   * average += (1 - decay) * (weights - average), running statistics included. The average of weights that stay is exactly
   * them.
   *
   * @param updates the number of updates before this one
   */
  update(updates: number): void {
    const decay = emaDecayAt(updates, this.config)
    torch.noGrad(() => torch.scope(() => lerp(this.averages, this.sources, 1 - decay)))
  }

  /** Host copies by path. Counters are the model's own. */
  hostState(copy: HostCopy = ownCopy): Map<string, Float32Array> {
    const averages = new Map(this.names.map((name, i) => [name, this.averages[i]!]))
    return new Map([...this.interpreter.state()].map(([path, own]) => [path, copy(path, averages.get(path) ?? own)]))
  }

  /** Continues from saved values. */
  restore(state: ReadonlyMap<string, Float32Array>): void {
    for (const [i, name] of this.names.entries()) {
      const values = state.get(name)
      if (!values)
        throw new UserError(`the training state has no average of "${name}"`, "resume with the ema it was made with")
      const average = this.averages[i]!
      torch.noGrad(() => torch.scope(() => void average.copy_(torch.tensor(values, average.shape))))
    }
  }

  /** Runs `fn` with the averages in place of the weights. */
  async swapped<T>(fn: () => Promise<T>): Promise<T> {
    this.swap()
    try {
      return await fn()
    } finally {
      this.swap()
    }
  }

  free(): void {
    for (const average of this.averages) average.free()
  }

  private swap(): void {
    torch.noGrad(() =>
      torch.scope(() => {
        for (const [i, source] of this.sources.entries()) {
          const before = source.clone()
          source.copy_(this.averages[i]!)
          this.averages[i]!.copy_(before)
        }
      }),
    )
  }
}

type Tensors = readonly torch.Tensor[]
const foreachLerp = torch.operator<[self: Tensors, end: Tensors, weight: number], void>("_foreach_lerp_.Scalar")
const lerpOne = torch.operator<[self: torch.Tensor, end: torch.Tensor, weight: number], torch.Tensor>("lerp_.Scalar")

/** libtorch 1.13 has this operation for single tensors only. */
function lerp(averages: Tensors, ends: Tensors, weight: number): void {
  if (torch.hasOperator("_foreach_lerp_.Scalar")) foreachLerp(averages, ends, weight)
  else for (const [i, average] of averages.entries()) lerpOne(average, ends[i]!, weight)
}
