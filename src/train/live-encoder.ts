/** A model in training as an encoder, so that evaluation scores it without an export. */
import * as torch from "../../torch/index.ts"
import type { ModelConfig } from "../core/family/variants.ts"
import type { Image8 } from "../core/image/pixels.ts"
import { type Preprocessing, preprocess } from "../core/image/preprocess.ts"
import type { Encoder } from "../core/inference/encoder.ts"
import type { Tokenizer } from "../core/text/tokenizer.ts"
import type { Tensor } from "../tensor/tensor.ts"
import { hostValues, type TorchInterpreter } from "../tensor/torch.ts"

/** What CLIP and CoCa have in common. */
export interface TwoTowers {
  readonly config: ModelConfig
  encodeImage(images: Tensor): Tensor
  encodeText(ids: Tensor): Tensor
}

/** Rows that a tower takes at once. */
const BATCH = 64

/**
 * Encodes with the weights of `interpreter` as they are at each call: in evaluation mode and without gradients, and back
 * in the mode it was when the call is over.
 */
export function liveEncoder(
  model: TwoTowers,
  interpreter: TorchInterpreter,
  preprocessing: Preprocessing,
  tokenizer: Tokenizer,
): Encoder {
  const { embedDim, text } = model.config
  const { size } = preprocessing
  const vectors = (forward: () => Tensor) => evaluated(interpreter, () => hostValues(interpreter.unwrap(forward())))
  return {
    embedDim,
    async encodeImages(images) {
      return inBatches(images, embedDim, (batch) => {
        const pixels = pixelsOf(batch, preprocessing)
        return vectors(() => model.encodeImage(interpreter.images(pixels, [batch.length, 3, size, size])))
      })
    },
    async encodeTexts(texts) {
      return inBatches(texts, embedDim, (batch) => {
        const { ids, shape } = tokenizer.encodeBatch(batch, text.contextLength)
        return vectors(() => model.encodeText(interpreter.tokens(ids, shape)))
      })
    },
  }
}

/** Runs `fn` in evaluation mode and without gradients; what it makes in libtorch is freed. */
export function evaluated<T>(interpreter: TorchInterpreter, fn: () => T): T {
  const { training } = interpreter
  interpreter.training = false
  try {
    return torch.noGrad(() => torch.scope(fn))
  } finally {
    interpreter.training = training
  }
}

function pixelsOf(images: readonly Image8[], preprocessing: Preprocessing): Float32Array {
  const length = 3 * preprocessing.size ** 2
  const pixels = new Float32Array(images.length * length)
  images.forEach((image, i) => {
    preprocess(image, preprocessing, pixels.subarray(i * length, (i + 1) * length))
  })
  return pixels
}

function inBatches<T>(items: readonly T[], width: number, encode: (batch: readonly T[]) => Float32Array): Float32Array {
  const vectors = new Float32Array(items.length * width)
  for (let start = 0; start < items.length; start += BATCH) {
    vectors.set(encode(items.slice(start, start + BATCH)), start * width)
  }
  return vectors
}
