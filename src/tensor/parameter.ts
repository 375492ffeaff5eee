/**
 * Parameters and buffers as a layer declares them: a shape, an initialiser, and where the host values come from.
 * No interpreter is known here; each one materialises a parameter in its own way (leaf tensor, graph initialiser, shape).
 */
import { assert } from "../core/errors.ts"

/** How training starts. `fanIn` is PyTorch's default for Conv2d and Linear: uniform in +-1/sqrt(fan in). */
export type Init =
  | { readonly kind: "constant"; readonly value: number }
  | { readonly kind: "normal"; readonly std: number }
  | { readonly kind: "fanIn"; readonly fanIn: number }
  /** Uniform in +-bound. */
  | { readonly kind: "uniform"; readonly bound: number }

/** Host values of a parameter, row-major. Called when needed, so a checkpoint need not be in memory twice. */
type Source = () => Float32Array

export class Parameter {
  /** Where the values come from; null until the model is initialised or loaded. */
  source: Source | null = null

  constructor(
    readonly shape: readonly number[],
    readonly init: Init,
    /** Buffers (running statistics) are saved with the model but never trained. */
    readonly role: "parameter" | "buffer" = "parameter",
    /** `int64` is the type `num_batches_tracked` has in published checkpoints; host values are float32 all the same. */
    readonly dtype: "float32" | "int64" = "float32",
    /**
     * Whether weight decay applies: open_clip decays tensors of two dimensions and more. It is given where the reference's
     * tensor has other dimensions than ours.
     */
    readonly isDecayed: boolean = shape.length >= 2,
  ) {}

  get size(): number {
    return this.shape.reduce((product, dim) => product * dim, 1)
  }

  /** The host values; throws when the parameter was neither initialised nor loaded. */
  read(): Float32Array {
    assert(this.source, `a parameter of shape [${this.shape}] has no values yet`)
    const values = this.source()
    assert(values.length === this.size, `a parameter of shape [${this.shape}] was given ${values.length} values`)
    return values
  }
}
