/**
 * The pre-norm transformer block that every tower but FastViT's is made of, with the keys and values of earlier tokens
 * where a decoder keeps them.
 *
 * Sources: open_clip transformer.py (`ResidualAttentionBlock`), timm vision_transformer.py `Block`, and the initialisation of
 * both.
 * Shapes: N batch, L tokens, S tokens that are attended to, D width.
 */
import { assert } from "../core/errors.ts"
import type { Activation } from "../core/family/variants.ts"
import type { Init } from "../tensor/parameter.ts"
import type { Tensor } from "../tensor/tensor.ts"
import { LayerNorm, Linear, timmWeight, zeros } from "./layers.ts"
import { Module } from "./module.ts"

interface TransformerConfig {
  readonly width: number
  readonly heads: number
  readonly layers: number
  readonly causal: boolean
  readonly activation: Activation
  /** The epsilon of the layer norms; default 1e-5. */
  readonly normEps?: number
}

/** Keys and values [N, S, D] of the tokens a block has seen. */
export interface KeysAndValues {
  readonly keys: Tensor
  readonly values: Tensor
}

/** One row of each sequence: [N, L, D] -> [N, D] */
export type RowChoice = (x: Tensor) => Tensor

/** Initial values of a block's weights; the biases of its attention are zeros. */
interface BlockInit {
  readonly qkv: Init
  readonly proj: Init
  readonly fc1: Init
  readonly fc2: Init
  /** The biases of both layers of the perceptron, from the width of their input. */
  readonly mlpBias: (fanIn: number) => Init
}

const fanIn = (fanIn: number): Init => ({ kind: "fanIn", fanIn })

/** open_clip's initialisation of text towers, by width and depth. The perceptron's biases have PyTorch's defaults. */
export function textInit({ width, layers }: Pick<TransformerConfig, "width" | "layers">): BlockInit {
  const normal = (std: number): Init => ({ kind: "normal", std })
  const attention = width ** -0.5
  const output = normal(attention * (2 * layers) ** -0.5)
  return { qkv: normal(attention), proj: output, fc1: normal((2 * width) ** -0.5), fc2: output, mlpBias: fanIn }
}

/** PyTorch's defaults of MultiheadAttention and Linear, which open_clip's own ViT keeps. */
export function pytorchInit({ width }: Pick<TransformerConfig, "width">): BlockInit {
  return { qkv: xavier(width, 3 * width), proj: fanIn(width), fc1: fanIn(width), fc2: fanIn(4 * width), mlpBias: fanIn }
}

/** timm's initialisation of vision transformers. */
export function timmInit(): BlockInit {
  return { qkv: timmWeight, proj: timmWeight, fc1: timmWeight, fc2: timmWeight, mlpBias: () => zeros }
}

function xavier(inFeatures: number, outFeatures: number): Init {
  return { kind: "uniform", bound: Math.sqrt(6 / (inFeatures + outFeatures)) }
}

class SelfAttention extends Module {
  readonly qkv: Linear
  readonly proj: Linear

  constructor(
    readonly width: number,
    readonly heads: number,
    readonly causal: boolean,
    init: BlockInit,
  ) {
    super()
    this.qkv = new Linear(width, 3 * width, { weightInit: init.qkv })
    this.proj = new Linear(width, width, { weightInit: init.proj })
  }

  /** [N, L, D] -> the same shape. */
  forward(x: Tensor): Tensor {
    const { heads, causal } = this
    return this.proj.forward(this.qkv.forward(x).selfAttention({ heads, causal }))
  }

  /** The same, with the keys and values of these tokens for later ones. */
  forwardWithKeys(x: Tensor): KeysAndValues & { readonly mixed: Tensor } {
    const [query, keys, values] = this.project(x)
    const { heads, causal } = this
    return { mixed: this.proj.forward(query.attention(keys, values, { heads, causal })), keys, values }
  }

  /** One more token, [N, 1, D]: it sees `past` and itself, except what `bias` [N, S + 1] hides. */
  extend(x: Tensor, past: KeysAndValues, bias?: Tensor): KeysAndValues & { readonly mixed: Tensor } {
    const [query, key, value] = this.project(x)
    const [keys, values] = [past.keys.concat([key], 1), past.values.concat([value], 1)]
    const options = { heads: this.heads, causal: false, ...(bias && { bias }) }
    return { mixed: this.proj.forward(query.attention(keys, values, options)), keys, values }
  }

  /** What the query of one row sees of [N, L, D], except what `bias` [N, L] hides -> [N, D] */
  forwardRow(x: Tensor, row: RowChoice, bias?: Tensor): Tensor {
    assert(!this.causal || bias, "a causal block needs a bias that hides later rows")
    const [queries, keys, values] = this.project(x)
    const query = row(queries).reshape([1, this.width])
    const mixed = query.attention(keys, values, { heads: this.heads, causal: false, ...(bias && { bias }) })
    return this.proj.forward(mixed.reshape([this.width]))
  }

  private project(x: Tensor): readonly [query: Tensor, key: Tensor, value: Tensor] {
    return this.qkv.forward(x).split(2, 3) as [Tensor, Tensor, Tensor]
  }
}

/** Initial values of a cross attention's weights; `key` is for values, too. Biases are zeros. */
interface CrossInit {
  readonly query: Init
  readonly key: Init
  readonly proj: Init
}

/** PyTorch's defaults of MultiheadAttention, which keeps queries, keys and values in one matrix where their widths are equal. */
export function pytorchCrossInit(width: number, keyWidth: number): CrossInit {
  const rows = keyWidth === width ? 3 * width : width
  return { query: xavier(width, rows), key: xavier(keyWidth, rows), proj: fanIn(width) }
}

/** Attention with weights of their own for queries, keys and values, which may come from different sequences and widths. */
export class CrossAttention extends Module {
  readonly query: Linear
  readonly key: Linear
  readonly value: Linear
  readonly proj: Linear

  constructor(
    width: number,
    readonly heads: number,
    keyWidth: number,
    init: CrossInit,
  ) {
    super()
    this.query = new Linear(width, width, { weightInit: init.query })
    this.key = new Linear(keyWidth, width, { weightInit: init.key })
    this.value = new Linear(keyWidth, width, { weightInit: init.key })
    this.proj = new Linear(width, width, { weightInit: init.proj })
  }

  /** Keys and values [N, S, width] of tokens [N, S, keyWidth]. */
  keysAndValues(tokens: Tensor): KeysAndValues {
    return { keys: this.key.forward(tokens), values: this.value.forward(tokens) }
  }

  /** Queries [N, L, D] over these keys and values -> [N, L, D] */
  forward(x: Tensor, { keys, values }: KeysAndValues): Tensor {
    const mixed = this.query.forward(x).attention(keys, values, { heads: this.heads, causal: false })
    return this.proj.forward(mixed)
  }
}

class Mlp extends Module {
  readonly fc1: Linear
  readonly fc2: Linear

  constructor(
    width: number,
    readonly activation: Activation,
    { fc1, fc2, mlpBias }: BlockInit,
  ) {
    super()
    const hidden = 4 * width
    this.fc1 = new Linear(width, hidden, { weightInit: fc1, biasInit: mlpBias(width) })
    this.fc2 = new Linear(hidden, width, { weightInit: fc2, biasInit: mlpBias(hidden) })
  }

  forward(x: Tensor): Tensor {
    return this.fc2.forward(activate(this.fc1.forward(x), this.activation))
  }
}

/** OpenAI's models approximate GELU by x * sigmoid(1.702 x); with the exact GELU they are silently worse. */
function activate(x: Tensor, activation: Activation): Tensor {
  return activation === "quick-gelu" ? x.mul(x.mul(1.702).sigmoid()) : x.gelu()
}

/** Attention to the sequence itself, then a two-layer perceptron; both residual. */
export class TransformerBlock extends Module {
  readonly norm1: LayerNorm
  readonly attn: SelfAttention
  readonly norm2: LayerNorm
  readonly mlp: Mlp

  constructor({ width, heads, causal, activation, normEps }: TransformerConfig, init: BlockInit) {
    super()
    this.norm1 = new LayerNorm(width, normEps)
    this.attn = new SelfAttention(width, heads, causal, init)
    this.norm2 = new LayerNorm(width, normEps)
    this.mlp = new Mlp(width, activation, init)
  }

  /** [N, L, D] -> the same shape. */
  forward(x: Tensor): Tensor {
    return this.transform(x.add(this.attn.forward(this.norm1.forward(x))))
  }

  /** The same, with the keys and values of these tokens for later ones. */
  forwardWithKeys(x: Tensor): KeysAndValues & { readonly y: Tensor } {
    const { mixed, ...past } = this.attn.forwardWithKeys(this.norm1.forward(x))
    return { y: this.transform(x.add(mixed)), ...past }
  }

  /** One more token, [N, 1, D]: it sees `past` and itself, except what `bias` [N, S + 1] hides. */
  extend(x: Tensor, past: KeysAndValues, bias?: Tensor): KeysAndValues & { readonly y: Tensor } {
    const { mixed, ...present } = this.attn.extend(this.norm1.forward(x), past, bias)
    return { y: this.transform(x.add(mixed)), ...present }
  }

  /** One row of the results, where no others are read; it sees all but what `bias` [N, L] hides: [N, L, D] -> [N, D] */
  forwardRow(x: Tensor, row: RowChoice, bias?: Tensor): Tensor {
    const mixed = this.attn.forwardRow(this.norm1.forward(x), row, bias)
    return this.transform(row(x).add(mixed))
  }

  private transform(x: Tensor): Tensor {
    return x.add(this.mlp.forward(this.norm2.forward(x)))
  }
}

/** Attention to another sequence, then a two-layer perceptron; both residual. */
export class CrossBlock extends Module {
  readonly norm1: LayerNorm
  readonly normKey: LayerNorm
  readonly attn: CrossAttention
  readonly norm2: LayerNorm
  readonly mlp: Mlp

  constructor({ width, heads, activation }: TransformerConfig, init: BlockInit) {
    super()
    this.norm1 = new LayerNorm(width)
    this.normKey = new LayerNorm(width)
    this.attn = new CrossAttention(width, heads, width, { query: init.qkv, key: init.qkv, proj: init.proj })
    this.norm2 = new LayerNorm(width)
    this.mlp = new Mlp(width, activation, init)
  }

  /** Keys and values of the other sequence [N, S, D]: the same for every token that attends to it. */
  keysAndValues(tokens: Tensor): KeysAndValues {
    return this.attn.keysAndValues(this.normKey.forward(tokens))
  }

  /** [N, L, D] -> the same shape. */
  forward(x: Tensor, memory: KeysAndValues): Tensor {
    const mixed = x.add(this.attn.forward(this.norm1.forward(x), memory))
    return mixed.add(this.mlp.forward(this.norm2.forward(mixed)))
  }
}
