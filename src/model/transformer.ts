/**
 * The pre-norm transformer block that every tower but FastViT's is made of, with the keys and values of earlier tokens
 * where a decoder keeps them.
 *
 * Sources: open_clip transformer.py (`ResidualAttentionBlock`, its initialisation), timm vision_transformer.py `Block`.
 * Shapes: N batch, L tokens, S tokens that are attended to, D width.
 */
import type { Activation } from "../core/family/variants.ts"
import type { Tensor } from "../tensor/tensor.ts"
import { LayerNorm, Linear } from "./layers.ts"
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

/** Standard deviations of open_clip's initialisation for a transformer of this width and depth. */
function initialStd(width: number, layers: number) {
  const attention = width ** -0.5
  const output = attention * (2 * layers) ** -0.5
  return { attention, output, hidden: (2 * width) ** -0.5 }
}

type InitialStd = ReturnType<typeof initialStd>

class SelfAttention extends Module {
  readonly qkv: Linear
  readonly proj: Linear

  constructor(
    readonly width: number,
    readonly heads: number,
    readonly causal: boolean,
    std: InitialStd,
  ) {
    super()
    this.qkv = new Linear(width, 3 * width, { weightInit: { kind: "normal", std: std.attention } })
    this.proj = new Linear(width, width, { weightInit: { kind: "normal", std: std.output } })
  }

  /** [N, L, D] -> the same shape, with the keys and values of these tokens for later ones. */
  forward(x: Tensor): KeysAndValues & { readonly mixed: Tensor } {
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

  private project(x: Tensor): readonly [query: Tensor, key: Tensor, value: Tensor] {
    return this.qkv.forward(x).split(2, 3) as [Tensor, Tensor, Tensor]
  }
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
    keyWidth = width,
  ) {
    super()
    const linear = (inFeatures: number) =>
      new Linear(inFeatures, width, { weightInit: { kind: "normal", std: width ** -0.5 } })
    this.query = linear(width)
    this.key = linear(keyWidth)
    this.value = linear(keyWidth)
    this.proj = linear(width)
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
    std: InitialStd,
  ) {
    super()
    this.fc1 = new Linear(width, 4 * width, { weightInit: { kind: "normal", std: std.hidden } })
    this.fc2 = new Linear(4 * width, width, { weightInit: { kind: "normal", std: std.output } })
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

  constructor({ width, heads, layers, causal, activation, normEps }: TransformerConfig) {
    super()
    const std = initialStd(width, layers)
    this.norm1 = new LayerNorm(width, normEps)
    this.attn = new SelfAttention(width, heads, causal, std)
    this.norm2 = new LayerNorm(width, normEps)
    this.mlp = new Mlp(width, activation, std)
  }

  /** [N, L, D] -> the same shape. */
  forward(x: Tensor): Tensor {
    return this.forwardWithKeys(x).y
  }

  /** The same, with the keys and values of these tokens for later ones. */
  forwardWithKeys(x: Tensor): KeysAndValues & { readonly y: Tensor } {
    const { mixed, ...past } = this.attn.forward(this.norm1.forward(x))
    return { y: this.transform(x.add(mixed)), ...past }
  }

  /** One more token, [N, 1, D]: it sees `past` and itself, except what `bias` [N, S + 1] hides. */
  extend(x: Tensor, past: KeysAndValues, bias?: Tensor): KeysAndValues & { readonly y: Tensor } {
    const { mixed, ...present } = this.attn.extend(this.norm1.forward(x), past, bias)
    return { y: this.transform(x.add(mixed)), ...present }
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

  constructor({ width, heads, layers, activation }: TransformerConfig) {
    super()
    this.norm1 = new LayerNorm(width)
    this.normKey = new LayerNorm(width)
    this.attn = new CrossAttention(width, heads)
    this.norm2 = new LayerNorm(width)
    this.mlp = new Mlp(width, activation, initialStd(width, layers))
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
