/**
 * A CoCa checkpoint as a captioner on libtorch. What an image is to the decoder, and the keys and values of the tokens so
 * far, stay on the device: at ViT-L/14 that is 19 MB for each row.
 */
import * as torch from "../../torch/index.ts"
import type { Preprocessing } from "../core/image/preprocess.ts"
import type { BegunDecoder, CaptionRuntime, Values } from "../core/inference/caption-decoder.ts"
import type { Coca } from "../model/coca.ts"
import { isIdentity } from "../run/caption/captioner.ts"
import { hostValues } from "../tensor/torch.ts"
import type { TorchEncoder } from "../tensor/torch-encoder.ts"
import { fusedEncoder, type TorchOptions } from "./torch-teacher.ts"

/** Copies the weights to the device. Throws UserError when there is no such device. */
export function torchCaptioner(model: Coca, preprocessing: Preprocessing, options: TorchOptions = {}): CaptionRuntime {
  const encoder = fusedEncoder(model, preprocessing, options)
  return {
    async begin(pixels: Values, rowsPerImage: number): Promise<BegunDecoder> {
      return new TorchDecoder(encoder, memoryOf(encoder, pixels, rowsPerImage))
    },
    async release() {
      encoder.free()
    },
  }
}

/** [N * rowsPerImage, Q, memoryWidth], rows of an image side by side. */
function memoryOf(encoder: TorchEncoder<Coca>, { data, shape }: Values, rowsPerImage: number): torch.Tensor {
  return torch.keep(
    encoder.run((model, interpreter) => {
      const { tokens } = model.image.forward(interpreter.images(data, shape))
      const memory = interpreter.unwrap(model.imageMemory(tokens))
      const rows = Array.from({ length: shape[0]! * rowsPerImage }, (_, row) => Math.floor(row / rowsPerImage))
      return takeRows(memory, rows)
    }),
  )
}

class TorchDecoder implements BegunDecoder {
  readonly vocabSize: number
  readonly contextLength: number
  private cache: torch.Tensor | null = null

  constructor(
    private readonly encoder: TorchEncoder<Coca>,
    private memory: torch.Tensor,
  ) {
    this.vocabSize = encoder.model.config.text.vocabSize
    this.contextLength = encoder.contextLength
  }

  async step(tokens: readonly number[], parents: readonly number[] | null): Promise<Float32Array> {
    if (parents && !isIdentity(parents, this.memory.shape[0]!)) this.select(parents)
    const { logits, cache } = this.encoder.run((model, interpreter) => {
      const ids = interpreter.tokens(BigInt64Array.from(tokens, BigInt), [tokens.length, 1])
      const past = this.cache ?? this.noTokens(tokens.length)
      const next = model.step(ids, interpreter.wrap(past), interpreter.wrap(this.memory))
      return { logits: hostValues(interpreter.unwrap(next.logits)), cache: interpreter.unwrap(next.cache) }
    })
    this.replace(torch.keep(cache), this.memory)
    return logits
  }

  [Symbol.dispose](): void {
    this.cache?.free()
    this.memory.free()
  }

  /** Rows go on in a new order, and some not at all. */
  private select(rows: readonly number[]): void {
    const [memory, cache] = torch.scope(() => [takeRows(this.memory, rows), this.cache && takeRows(this.cache, rows)])
    this.replace(cache && torch.keep(cache), torch.keep(memory!))
  }

  private replace(cache: torch.Tensor | null, memory: torch.Tensor): void {
    if (cache !== this.cache) this.cache?.free()
    if (memory !== this.memory) this.memory.free()
    this.cache = cache
    this.memory = memory
  }

  private noTokens(rows: number): torch.Tensor {
    const { dtype, device } = this.memory
    return torch.zeros([rows, 0, this.encoder.model.cacheWidth], { dtype, device })
  }
}

function takeRows(tensor: torch.Tensor, rows: readonly number[]): torch.Tensor {
  const index = torch.tensor(BigInt64Array.from(rows, BigInt), [rows.length], { device: tensor.device })
  return tensor.indexSelect(0, index)
}
