/**
 * CoCa: an image tower with an attentional pooler, a causal text tower with a class token, and a decoder that writes
 * captions by attending to the image.
 *
 * Paper: https://arxiv.org/abs/2205.01917. Follows open_clip coca_model.py and transformer.py @7260a46, which differ from
 * it: one pooler, whose query 0 is the image's embedding. Text and decoder tokens never see what comes after them, so
 * keys and values are kept and each new token is computed once (`step`); open_clip computes the whole prefix again.
 * Shapes: N batch, L tokens, S tokens so far, Q image tokens, D width.
 */
import { assert } from "../core/errors.ts"
import type { CocaConfig, FastViTConfig, VitConfig } from "../core/family/variants.ts"
import { Parameter } from "../tensor/parameter.ts"
import type { Tensor } from "../tensor/tensor.ts"
import { FastViTTrunk } from "./fastvit.ts"
import { BatchNorm2d, type JointSegment, LayerNorm, Linear, runSegments, type Segment, timmWeight } from "./layers.ts"
import { Module } from "./module.ts"
import {
  CrossAttention,
  CrossBlock,
  type KeysAndValues,
  pytorchCrossInit,
  TransformerBlock,
  textInit,
} from "./transformer.ts"
import { VitTrunk } from "./vit.ts"

/** Learned queries that attend to the image's patches. No residual, no perceptron. */
class AttentionalPooler extends Module {
  readonly query: Parameter // [queries, D]
  readonly attn: CrossAttention
  readonly normQuery: LayerNorm
  readonly normKey: LayerNorm

  constructor(queries: number, heads: number, width: number, keyWidth: number) {
    super()
    this.query = new Parameter([queries, width], { kind: "normal", std: 1 })
    this.attn = new CrossAttention(width, heads, keyWidth, pytorchCrossInit(width, keyWidth))
    this.normQuery = new LayerNorm(width)
    this.normKey = new LayerNorm(keyWidth)
  }

  /** [N, 1 + P, keyWidth] -> [N, queries, D] */
  forward(x: Tensor): Tensor {
    const memory = this.attn.keysAndValues(this.normKey.forward(x))
    return this.attn.forward(this.normQuery.forward(x.repeat(this.query)), memory)
  }
}

/** The image's embedding [N, D], and its tokens for the decoder [N, queries - 1, D]. */
interface CocaImage {
  readonly embedding: Tensor
  readonly tokens: Tensor
}

/** The head after an image tower's tokens. */
interface Pooling {
  readonly pooler: AttentionalPooler
  readonly norm: LayerNorm
  readonly projection: Linear
}

function poolingOf({ embedDim, pooler }: CocaConfig, width: number): Pooling {
  return {
    pooler: new AttentionalPooler(pooler.queries, pooler.heads, embedDim, width),
    norm: new LayerNorm(embedDim),
    projection: new Linear(embedDim, embedDim, { bias: false, weightInit: { kind: "normal", std: width ** -0.5 } }),
  }
}

function pool({ pooler, norm, projection }: Pooling, patches: Tensor): CocaImage {
  const pooled = norm.forward(pooler.forward(patches))
  const [, queries, width] = pooled.shape as readonly [number, number, number]
  const embedding = projection.forward(pooled.narrow(1, 0, 1).reshape([width]))
  return { embedding, tokens: pooled.narrow(1, 1, queries - 1) }
}

class CocaImageTower extends VitTrunk implements Pooling {
  readonly pooler: AttentionalPooler
  readonly norm: LayerNorm
  readonly projection: Linear

  constructor(config: CocaConfig, image: VitConfig) {
    super(image, config.imageSize, "open_clip")
    const { pooler, norm, projection } = poolingOf(config, image.width)
    this.pooler = pooler
    this.norm = norm
    this.projection = projection
  }

  /** [N, 3, H, W] */
  forward(x: Tensor): CocaImage {
    return this.pool(runSegments(this.segments(), x))
  }

  /** From pixels to patches. */
  segments(): Segment[] {
    return this.trunkSegments()
  }

  pool(patches: Tensor): CocaImage {
    return pool(this, patches)
  }
}

/** The pixels of FastViT's last feature map as tokens, with learned positions; no published model has this. */
class CocaFastViTTower extends FastViTTrunk implements Pooling {
  readonly featureNorm: BatchNorm2d
  readonly positionalEmbedding: Parameter // [P, C]
  readonly pooler: AttentionalPooler
  readonly norm: LayerNorm
  readonly projection: Linear

  constructor(config: CocaConfig, image: FastViTConfig) {
    super(image)
    const width = image.stages.at(-1)!.dim
    // Its backward pass gives gradients in the layout of images again: with those of the permuted tokens, oneDNN 2.6 (in
    // libtorch 1.13) reads wrong memory in the depthwise convolutions below, and gradients are garbage.
    this.featureNorm = new BatchNorm2d(width)
    this.positionalEmbedding = new Parameter([featurePixels(config.imageSize, image) ** 2, width], timmWeight)
    const { pooler, norm, projection } = poolingOf(config, width)
    this.pooler = pooler
    this.norm = norm
    this.projection = projection
  }

  /** [N, 3, H, W] */
  forward(x: Tensor): CocaImage {
    return this.pool(runSegments(this.segments(), x))
  }

  /** From pixels to patches. */
  segments(): Segment[] {
    return [...this.trunkSegments(), (x) => this.flatten(x)]
  }

  pool(patches: Tensor): CocaImage {
    return pool(this, patches)
  }

  private flatten(x: Tensor): Tensor {
    const features = this.featureNorm.forward(x)
    const tokens = features.reshape([features.shape[1]!, -1]).permute([0, 2, 1])
    return tokens.addPositions(this.positionalEmbedding)
  }
}

/** Side of FastViT's last feature map: two halvings in the stem, one before each stage but the first, rounded up. */
function featurePixels(imageSize: number, { stages }: FastViTConfig): number {
  return Array.from({ length: stages.length + 1 }).reduce<number>((side) => Math.ceil(side / 2), imageSize)
}

function imageTower(config: CocaConfig): CocaImageTower | CocaFastViTTower {
  const { image } = config
  return image.kind === "vit" ? new CocaImageTower(config, image) : new CocaFastViTTower(config, image)
}

class CocaTextTower extends Module {
  readonly tokenEmbedding: Parameter // [vocabSize, D]
  readonly positionalEmbedding: Parameter // [contextLength + 1, D]
  readonly classToken: Parameter // [D]
  readonly blocks: readonly TransformerBlock[]
  readonly finalNorm: LayerNorm
  readonly projection: Parameter // [D, embedDim]

  constructor({ text, embedDim }: CocaConfig) {
    super()
    const { width, layers, contextLength, vocabSize } = text
    this.tokenEmbedding = new Parameter([vocabSize, width], { kind: "normal", std: 0.02 })
    this.positionalEmbedding = new Parameter([contextLength + 1, width], { kind: "normal", std: 0.01 })
    this.classToken = new Parameter([width], { kind: "normal", std: 0.01 })
    this.blocks = Array.from({ length: layers }, () => new TransformerBlock(text, textInit(text)))
    this.finalNorm = new LayerNorm(width)
    this.projection = new Parameter([width, embedDim], { kind: "normal", std: width ** -0.5 })
  }

  /** Token ids [N, L] -> [N, embedDim], not normalised: the class token's row, which no other token sees. */
  forward(ids: Tensor): Tensor {
    return this.encode(ids).embedding
  }

  /** The embedding, and what the decoder reads, [N, L, D], computed once; `whole` as in `segments`. */
  encode(ids: Tensor, whole = ids): { readonly embedding: Tensor; readonly tokens: Tensor } {
    const [tokens, embedding] = this.segments(ids, whole).reduce((parts, segment) => segment(parts), [
      ids,
    ] as readonly Tensor[])
    return { tokens: tokens!, embedding: embedding! }
  }

  /**
   * For these ids, from which the first one starts: the tokens, and the class token's row, which becomes the embedding. Its
   * position follows `whole`, of which `ids` may be the first columns: exact down to one of padding in every text.
   */
  segments(ids: Tensor, whole = ids): JointSegment[] {
    const bias = ids.classBias()
    const through = (block: TransformerBlock): JointSegment => {
      return ([tokens, row]) => {
        const { y, ...past } = block.forwardWithKeys(tokens!)
        return [y, block.extend(row!, past, bias).y]
      }
    }
    const project = (row: Tensor) => this.finalNorm.forward(row.reshape([this.classToken.size])).matmul(this.projection)
    return [() => this.begin(ids, whole), ...this.blocks.map(through), ([tokens, row]) => [tokens!, project(row!)]]
  }

  /** Token ids [N, L] -> what the decoder reads, [N, L, D]; no final norm. */
  tokens(ids: Tensor): Tensor {
    return this.blocks.reduce((x, block) => block.forward(x), this.embed(ids))
  }

  private begin(ids: Tensor, whole: Tensor): [tokens: Tensor, row: Tensor] {
    const tokens = this.embed(ids)
    const row = tokens.repeat(this.classToken).reshape([1, this.classToken.size])
    return [tokens, row.addPositions(this.positionalEmbedding, whole)]
  }

  private embed(ids: Tensor): Tensor {
    return ids.embedding(this.tokenEmbedding).addPositions(this.positionalEmbedding)
  }
}

class CocaDecoder extends Module {
  readonly blocks: readonly TransformerBlock[]
  readonly crossBlocks: readonly CrossBlock[]
  readonly finalNorm: LayerNorm
  readonly projection: Parameter // [D, vocabSize]

  constructor({ text, decoder }: CocaConfig) {
    super()
    const config = { ...text, ...decoder }
    // open_clip writes this initialisation down and never calls it.
    const init = textInit(config)
    this.blocks = Array.from({ length: decoder.layers }, () => new TransformerBlock(config, init))
    this.crossBlocks = Array.from({ length: decoder.layers }, () => new CrossBlock(config, init))
    this.finalNorm = new LayerNorm(text.width)
    this.projection = new Parameter([text.width, text.vocabSize], { kind: "normal", std: text.width ** -0.5 })
  }

  /** Keys and values of the image's tokens [N, Q, D] for each layer. */
  keysAndValues(image: Tensor): KeysAndValues[] {
    return this.crossBlocks.map((block) => block.keysAndValues(image))
  }

  /** Tokens of the text tower [N, L, D] -> logits of what follows each, [N, L, vocabSize]. */
  forward(tokens: Tensor, memory: readonly KeysAndValues[]): Tensor {
    return this.logits(this.decode(tokens, memory))
  }

  /** The same before the vocabulary, [N, L, D]. */
  decode(tokens: Tensor, memory: readonly KeysAndValues[]): Tensor {
    return this.blocks.reduce((x, block, i) => this.crossBlocks[i]!.forward(block.forward(x), memory[i]!), tokens)
  }

  /** `decode` in pieces, from tokens and the image's tokens, which every layer reads, to the same. */
  segments(): JointSegment[] {
    return this.blocks.map((block, i): JointSegment => {
      const cross = this.crossBlocks[i]!
      return ([x, image]) => [cross.forward(block.forward(x!), cross.keysAndValues(image!)), image!]
    })
  }

  /** [..., D] -> [..., vocabSize] */
  logits(decoded: Tensor): Tensor {
    return this.finalNorm.forward(decoded).matmul(this.projection)
  }
}

/** One more token of a caption. */
interface CaptionStep {
  /** Logits of the next token, [N, vocabSize]. */
  readonly logits: Tensor
  /** Keys and values of all tokens so far, one layer after the other: [N, S + 1, cacheWidth]. */
  readonly cache: Tensor
}

export class Coca extends Module {
  readonly image: CocaImageTower | CocaFastViTTower
  readonly text: CocaTextTower
  readonly decoder: CocaDecoder
  readonly logitScale = new Parameter([], { kind: "constant", value: Math.log(1 / 0.07) })
  /** Only SigLIP's CLIP has one. */
  readonly logitBias = null

  constructor(readonly config: CocaConfig) {
    super()
    this.image = imageTower(config)
    this.text = new CocaTextTower(config)
    this.decoder = new CocaDecoder(config)
  }

  /** Normalised pixels [N, 3, imageSize, imageSize] -> [N, embedDim], not of unit length. */
  encodeImage(images: Tensor): Tensor {
    return this.image.forward(images).embedding
  }

  /** Token ids [N, contextLength], zero-padded -> [N, embedDim], not of unit length. */
  encodeText(ids: Tensor): Tensor {
    return this.text.forward(ids)
  }

  /** Logits of what follows each token: ids [N, L], image tokens [N, Q, D] -> [N, L, vocabSize]. The plain definition. */
  logits(ids: Tensor, image: Tensor): Tensor {
    return this.decoder.forward(this.text.tokens(ids), this.decoder.keysAndValues(image))
  }

  /** Values per token in the cache of `step`. */
  get cacheWidth(): number {
    return 2 * (this.text.blocks.length + this.decoder.blocks.length) * this.config.text.width
  }

  /** Values per image token in what `imageMemory` gives. */
  get memoryWidth(): number {
    return 2 * this.decoder.crossBlocks.length * this.config.text.width
  }

  /** Keys and values of the image's tokens [N, Q, D] for all layers of the decoder: [N, Q, memoryWidth]. Once per image. */
  imageMemory(image: Tensor): Tensor {
    return join(this.decoder.keysAndValues(image))
  }

  /** One token [N, 1] after those in `cache` [N, S, cacheWidth]; S may be 0. */
  step(id: Tensor, cache: Tensor, memory: Tensor): CaptionStep {
    const past = split(cache, this.config.text.width)
    const images = split(memory, this.config.text.width)
    const present: KeysAndValues[] = []
    let x = id.embedding(this.text.tokenEmbedding).addPositions(this.text.positionalEmbedding, cache)
    const extend = (block: TransformerBlock) => {
      const { y, keys, values } = block.extend(x, past[present.length]!)
      present.push({ keys, values })
      return y
    }
    for (const block of this.text.blocks) x = extend(block)
    for (const [i, block] of this.decoder.blocks.entries())
      x = this.decoder.crossBlocks[i]!.forward(extend(block), images[i]!)
    return { logits: this.decoder.logits(x.reshape([this.config.text.width])), cache: join(present) }
  }
}

/** Keys and values of all layers, [N, S, D] each, side by side. */
function join(layers: readonly KeysAndValues[]): Tensor {
  const [first, ...rest] = layers.flatMap(({ keys, values }) => [keys, values])
  assert(first, "no layers")
  return first.concat(rest, 2)
}

function split(joined: Tensor, width: number): KeysAndValues[] {
  const total = joined.shape[2]!
  assert(total % (2 * width) === 0, `${total} values are not keys and values of ${width} each`)
  const part = (i: number) => joined.narrow(2, i * width, width)
  return Array.from({ length: total / (2 * width) }, (_, i) => ({ keys: part(2 * i), values: part(2 * i + 1) }))
}
