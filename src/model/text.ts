/**
 * Text towers: the base transformer (causal or not) and MCt, which mixes tokens by convolution in its outer blocks.
 *
 * Sources: open_clip transformer.py `TextTransformer` (and its initialisation), apple/ml-mobileclip `text_encoder.py`
 * and `modules/text/repmixer.py`. Non-causal towers attend to the padding, so the input is always zero-padded to the
 * context length. Shapes: N batch, L tokens, D width.
 */
import type { TextTowerConfig } from "../core/variants.ts"
import { Parameter } from "../tensor/parameter.ts"
import type { Tensor } from "../tensor/tensor.ts"
import { RepMixerBlock } from "./fastvit.ts"
import { type Layer, LayerNorm, Linear } from "./layers.ts"
import { Module } from "./module.ts"

/** Standard deviations of open_clip's initialisation for a transformer of this width and depth. */
function initialStd(width: number, layers: number) {
  const attention = width ** -0.5
  const output = attention * (2 * layers) ** -0.5
  return { attention, output, hidden: (2 * width) ** -0.5 }
}

export class SelfAttention extends Module {
  readonly qkv: Linear
  readonly proj: Linear

  constructor(
    readonly width: number,
    readonly heads: number,
    readonly causal: boolean,
    std: ReturnType<typeof initialStd>,
  ) {
    super()
    this.qkv = new Linear(width, 3 * width, { weightInit: { kind: "normal", std: std.attention } })
    this.proj = new Linear(width, width, { weightInit: { kind: "normal", std: std.output } })
  }

  /** [N, L, D] -> the same shape. */
  forward(x: Tensor): Tensor {
    const { width, heads, causal } = this
    const qkv = this.qkv.forward(x)
    const [q, k, v] = [0, 1, 2].map((part) => qkv.narrow(2, part * width, width)) as [Tensor, Tensor, Tensor]
    return this.proj.forward(q.attention(k, v, { heads, causal }))
  }
}

export class Mlp extends Module {
  readonly fc1: Linear
  readonly fc2: Linear

  constructor(width: number, hidden: number, std: ReturnType<typeof initialStd>) {
    super()
    this.fc1 = new Linear(width, hidden, { weightInit: { kind: "normal", std: std.hidden } })
    this.fc2 = new Linear(hidden, width, { weightInit: { kind: "normal", std: std.output } })
  }

  forward(x: Tensor): Tensor {
    return this.fc2.forward(this.fc1.forward(x).gelu())
  }
}

/** Pre-norm transformer block. */
export class TransformerBlock extends Module {
  readonly norm1: LayerNorm
  readonly attn: SelfAttention
  readonly norm2: LayerNorm
  readonly mlp: Mlp

  constructor({ width, heads, layers, causal }: Pick<TextTowerConfig, "width" | "heads" | "layers" | "causal">) {
    super()
    const std = initialStd(width, layers)
    this.norm1 = new LayerNorm(width)
    this.attn = new SelfAttention(width, heads, causal, std)
    this.norm2 = new LayerNorm(width)
    this.mlp = new Mlp(width, 4 * width, std)
  }

  /** [N, L, D] -> the same shape. */
  forward(x: Tensor): Tensor {
    const mixed = x.add(this.attn.forward(this.norm1.forward(x)))
    return mixed.add(this.mlp.forward(this.norm2.forward(mixed)))
  }
}

/** A RepMixer block over the token axis: kernels of 1 x 11 on [N, D, 1, L], and no 1x1 branch. */
export class TokenRepMixerBlock extends RepMixerBlock {
  constructor(readonly width: number) {
    super(width, 4 * width, { mixer: [1, 11], ffn: [1, 11], scaleBranch: false })
  }

  /** [N, L, D] -> the same shape. */
  override forward(x: Tensor): Tensor {
    const length = x.shape[1]!
    const image = x.permute([0, 2, 1]).reshape([this.width, 1, length])
    return super.forward(image).reshape([this.width, length]).permute([0, 2, 1])
  }
}

export class TextTower extends Module {
  readonly tokenEmbedding: Parameter // [vocabSize, D]
  readonly positionalEmbedding: Parameter // [contextLength, D]
  readonly blocks: readonly Layer[]
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
    const transformer = Array.from({ length: layers }, () => new TransformerBlock(config))
    this.blocks =
      kind === "mct" ? [new TokenRepMixerBlock(width), ...transformer, new TokenRepMixerBlock(width)] : transformer
    this.finalNorm = new LayerNorm(width)
    this.projection = new Parameter([width, embedDim], { kind: "normal", std: width ** -0.5 })
  }

  /** Token ids [N, contextLength], zero-padded -> [N, embedDim], not normalised. The row of the first EOT counts. */
  forward(ids: Tensor): Tensor {
    const tokens = this.config.causal ? ids.trimToLongest() : ids
    const embedded = tokens.embedding(this.tokenEmbedding).addPositions(this.positionalEmbedding)
    const encoded = this.blocks.reduce((x, block) => block.forward(x), embedded)
    return this.finalNorm.forward(encoded.rowAt(tokens.firstEot())).matmul(this.projection)
  }
}
