/** A model that libtorch runs as it is now, in evaluation mode and without gradients: in training, as a teacher, or as a reference. */
import { setImmediate } from "node:timers/promises"
import * as torch from "../../torch/index.ts"
import { inBatches } from "../core/arrays/batches.ts"
import type { ModelConfig } from "../core/family/variants.ts"
import type { Image8 } from "../core/image/pixels.ts"
import { type Preprocessing, preprocessBatch } from "../core/image/preprocess.ts"
import type { Encoder } from "../core/inference/encoder.ts"
import type { Precision } from "../core/precision.ts"
import { Tokenizer } from "../core/text/tokenizer.ts"
import type { Tensor } from "./tensor.ts"
import { hostValues, type TorchInterpreter } from "./torch.ts"

/** What CLIP and CoCa have in common. */
interface TwoTowers {
  readonly config: ModelConfig
  encodeImage(images: Tensor): Tensor
  encodeText(ids: Tensor): Tensor
}

interface TorchEncoderOptions {
  readonly preprocessing: Preprocessing
  /** Type of matrix products and convolutions (default: float32); weights and vectors are float32. */
  readonly precision?: Precision
}

/** Pictures or texts that a tower takes at once. */
const BATCH = 64

/** Encodes with the weights of `interpreter` as they are at each call. Vectors are not of unit length. */
export class TorchEncoder<Model extends TwoTowers = TwoTowers> implements Encoder {
  private tokenizer: Tokenizer | null = null

  constructor(
    readonly model: Model,
    readonly interpreter: TorchInterpreter,
    private readonly options: TorchEncoderOptions,
  ) {}

  get embedDim(): number {
    return this.model.config.embedDim
  }

  get preprocessing(): Preprocessing {
    return this.options.preprocessing
  }

  get contextLength(): number {
    return this.model.config.text.contextLength
  }

  async encodeImages(images: readonly Image8[]): Promise<Float32Array> {
    return inBatches(images.length, BATCH, async (start, end) => {
      // A batch blocks the event loop; here signals such as Ctrl-C are handled.
      await setImmediate()
      return this.encodePixels(preprocessBatch(images.slice(start, end), this.preprocessing), end - start)
    })
  }

  async encodeTexts(texts: readonly string[]): Promise<Float32Array> {
    this.tokenizer ??= new Tokenizer()
    const { tokenizer, contextLength } = this
    return inBatches(texts.length, BATCH, async (start, end) => {
      await setImmediate()
      return this.encodeTokens(tokenizer.encodeBatch(texts.slice(start, end), contextLength).ids, end - start)
    })
  }

  /** Normalised pixels [count, 3, size, size] -> [count, embedDim], all at once. */
  encodePixels(pixels: Float32Array, count: number): Float32Array {
    const { size } = this.preprocessing
    return this.values((model, interpreter) => model.encodeImage(interpreter.images(pixels, [count, 3, size, size])))
  }

  /** Zero-padded ids [count, contextLength] -> [count, embedDim], all at once. */
  encodeTokens(ids: BigInt64Array, count: number): Float32Array {
    const shape = [count, this.contextLength]
    return this.values((model, interpreter) => model.encodeText(interpreter.tokens(ids, shape)))
  }

  /** Runs `fn`; everything it makes in libtorch is freed, but what it returns, and the interpreter is in its mode again. */
  run<T>(fn: (model: Model, interpreter: TorchInterpreter) => T): T {
    const { model, interpreter, options } = this
    const { training } = interpreter
    interpreter.training = false
    try {
      const compute = computeIn(interpreter, options.precision)
      return torch.scope(() => torch.noGrad(() => compute(() => fn(model, interpreter))))
    } finally {
      interpreter.training = training
    }
  }

  private values(fn: (model: Model, interpreter: TorchInterpreter) => Tensor): Float32Array {
    return this.run((model, interpreter) => hostValues(interpreter.unwrap(fn(model, interpreter))))
  }

  /** Releases the weights on the device. */
  free(): void {
    this.interpreter.free()
  }
}

/** The type that weights are kept in: on the processor bfloat16 ones are cast once, on a GPU autocast does it. */
export function weightsIn(device: torch.Device, precision: Precision = "float32"): "float32" | "bfloat16" {
  return device === "cpu" && precision === "bfloat16" ? "bfloat16" : "float32"
}

export type Compute = <T>(fn: () => T) => T

/** Runs a forward pass in a precision: by autocast, where the weights are of another one. */
export function computeIn({ device, dtype }: TorchInterpreter, precision: Precision = "float32"): Compute {
  if (precision === "float32" || precision === dtype) return (fn) => fn()
  return (fn) => torch.autocast({ device: device === "cpu" ? "cpu" : "cuda", dtype: precision }, fn)
}
