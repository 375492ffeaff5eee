/** CLIP: an image tower, a text tower and the learned temperature between them; or the image tower alone. */
import type { ClipConfig, ImageEncoderConfig } from "../core/family/variants.ts"
import { Parameter } from "../tensor/parameter.ts"
import type { Tensor } from "../tensor/tensor.ts"
import { FastViT } from "./fastvit.ts"
import type { Segmented } from "./layers.ts"
import { Module } from "./module.ts"
import { TextTower } from "./text.ts"
import { ConvStemVit, Vit } from "./vit.ts"

export class ImageEncoder extends Module {
  readonly image: Segmented

  constructor(readonly config: ImageEncoderConfig) {
    super()
    this.image = imageTower(config)
  }

  /** Normalised pixels [N, 3, imageSize, imageSize] -> [N, embedDim], not of unit length. */
  encodeImage(images: Tensor): Tensor {
    return this.image.forward(images)
  }
}

export class Clip extends ImageEncoder {
  readonly text: TextTower
  /** Logarithm of the factor on cosine similarities; starts at ln(1 / 0.07), trained within [0, ln 100]. */
  readonly logitScale: Parameter
  /** SigLIP's bias, which is added to scaled similarities; starts at -10. */
  readonly logitBias: Parameter | null

  constructor(override readonly config: ClipConfig) {
    super(config)
    this.text = new TextTower(config.text, config.embedDim)
    // SigLIP starts at a factor of 10 (arXiv 2303.15343), CLIP at 1 / 0.07.
    const factor = config.logitBias ? 10 : 1 / 0.07
    this.logitScale = new Parameter([], { kind: "constant", value: Math.log(factor) })
    this.logitBias = config.logitBias ? new Parameter([], { kind: "constant", value: -10 }) : null
  }

  /** Token ids [N, contextLength], zero-padded -> [N, embedDim], not of unit length. */
  encodeText(ids: Tensor): Tensor {
    return this.text.forward(ids)
  }
}

function imageTower({ image, imageSize, embedDim, headBias }: ImageEncoderConfig): Segmented {
  switch (image.kind) {
    case "fastvit":
      return new FastViT(image, embedDim, headBias)
    case "vit-conv-stem":
      return new ConvStemVit(image, imageSize, embedDim, headBias)
    case "vit":
      return new Vit(image, imageSize, embedDim, headBias)
    default:
      throw new Error(`unknown image tower ${image satisfies never}`)
  }
}
