/** CLIP: an image tower, a text tower and the learned temperature between them. */
import { UserError } from "../core/errors.ts"
import type { ClipConfig } from "../core/variants.ts"
import { Parameter } from "../tensor/parameter.ts"
import type { Tensor } from "../tensor/tensor.ts"
import { FastViT } from "./fastvit.ts"
import type { Layer } from "./layers.ts"
import { Module } from "./module.ts"
import { TextTower } from "./text.ts"

export class Clip extends Module {
  readonly image: Layer
  readonly text: TextTower
  /** Logarithm of the factor on cosine similarities; starts at ln(1 / 0.07), trained within [0, ln 100]. */
  readonly logitScale = new Parameter([], { kind: "constant", value: Math.log(1 / 0.07) })

  constructor(readonly config: ClipConfig) {
    super()
    this.image = imageTower(config)
    this.text = new TextTower(config.text, config.embedDim)
  }

  /** Normalised pixels [N, 3, imageSize, imageSize] -> [N, embedDim], not of unit length. */
  encodeImage(images: Tensor): Tensor {
    return this.image.forward(images)
  }

  /** Token ids [N, contextLength], zero-padded -> [N, embedDim], not of unit length. */
  encodeText(ids: Tensor): Tensor {
    return this.text.forward(ids)
  }
}

function imageTower({ image, embedDim, headBias }: ClipConfig): Layer {
  switch (image.kind) {
    case "fastvit":
      return new FastViT(image, embedDim, headBias)
    case "vit-conv-stem":
    case "vit":
      throw new UserError(`image towers of kind "${image.kind}" are not built yet`, "those of MCi0 to MCi4 are")
    default:
      throw new Error(`unknown image tower ${image satisfies never}`)
  }
}
