/**
 * Text towers: the base transformer (causal or not) and MCt, which mixes tokens by convolution in its outer blocks.
 *
 * Sources: open_clip transformer.py `TextTransformer`, apple/ml-mobileclip `text_encoder.py`
 * and `modules/text/repmixer.py`. Non-causal towers attend to the padding, so the input is always zero-padded to the
 * context length. Shapes: N batch, L tokens, D width.
 */
import type { TextTowerConfig } from "../core/family/variants.ts"
import { Parameter } from "../tensor/parameter.ts"
import type { Tensor } from "../tensor/tensor.ts"
import { RepMixerBlock } from "./fastvit.ts"
import { LayerNorm, runSegments, type Segment, segmentsOf } from "./layers.ts"
import { Module } from "./module.ts"
import { type RowChoice, TransformerBlock, textInit } from "./transformer.ts"

/** A RepMixer block over the token axis: kernels of 1 x 11 on [N, D, 1, L], and no 1x1 branch. */
class TokenRepMixerBlock extends RepMixerBlock {
  constructor(readonly width: number) {
    super(width, 4 * width, { mixer: [1, 11], ffn: [1, 11], scaleBranch: false })
  }

  /** [N, L, D] -> the same shape. */
  override forward(x: Tensor): Tensor {
    return tokensOf(super.forward(imageOf(x)))
  }

  /** One row of the results, where no others are read: [N, L, D] -> [N, D] */
  forwardRow(x: Tensor, row: RowChoice): Tensor {
    const pixel = (image: Tensor) => row(tokensOf(image)).reshape([this.width, 1, 1])
    return this.forwardAt(imageOf(x), pixel).reshape([this.width])
  }
}

/** [N, L, D] -> [N, D, 1, L] */
function imageOf(x: Tensor): Tensor {
  return x.permute([0, 2, 1]).reshape([x.shape[2]!, 1, x.shape[1]!])
}

/** [N, D, 1, L] -> [N, L, D] */
function tokensOf(x: Tensor): Tensor {
  return x.reshape([x.shape[1]!, x.shape[3]!]).permute([0, 2, 1])
}

export class TextTower extends Module {
  readonly tokenEmbedding: Parameter // [vocabSize, D]
  readonly positionalEmbedding: Parameter // [contextLength, D]
  readonly blocks: readonly (TransformerBlock | TokenRepMixerBlock)[]
  readonly finalNorm: LayerNorm
  readonly projection: Parameter // [D, embedDim]

  constructor(
    readonly config: TextTowerConfig,
    embedDim: number,
  ) {
    super()
    const { kind, width, layers, contextLength, vocabSize } = config
    this.tokenEmbedding = new Parameter([vocabSize, width], { kind: "normal", std: 0.02 })
    this.positionalEmbedding = new Parameter([contextLength, width], { kind: "normal", std: 0.01 })
    const transformer = Array.from({ length: layers }, () => new TransformerBlock(config, textInit(config)))
    this.blocks =
      kind === "mct" ? [new TokenRepMixerBlock(width), ...transformer, new TokenRepMixerBlock(width)] : transformer
    this.finalNorm = new LayerNorm(width)
    this.projection = new Parameter([width, embedDim], { kind: "normal", std: width ** -0.5 })
  }

  /** Token ids [N, contextLength], zero-padded -> [N, embedDim], not normalised. The row of the first EOT counts. */
  forward(ids: Tensor): Tensor {
    return runSegments(this.segments(ids), ids)
  }

  /** The segments for these ids, which the first one starts from. */
  segments(ids: Tensor): Segment[] {
    const tokens = this.config.causal ? ids.trimToLongest() : ids
    const embed = () => tokens.embedding(this.tokenEmbedding).addPositions(this.positionalEmbedding)
    const project = (row: Tensor) => this.finalNorm.forward(row).matmul(this.projection)
    return [embed, ...segmentsOf(this.blocks.slice(0, -1)), (x) => this.lastRow(x, tokens.firstEot()), project]
  }

  /** Through the last block, which computes the one row of each text that is read. */
  private lastRow(x: Tensor, eot: Tensor): Tensor {
    const last = this.blocks.at(-1)!
    const row = (tokens: Tensor) => tokens.rowAt(eot)
    if (last instanceof TokenRepMixerBlock) return last.forwardRow(x, row)
    return last.forwardRow(x, row, this.config.causal ? x.causalBias(eot) : undefined)
  }
}
