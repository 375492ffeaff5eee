/**
 * The operations a model is written in. Three interpreters implement this interface: `torch.ts` computes (with
 * gradients), `onnx.ts` writes a graph, `cost.ts` counts. A model calls nothing else, so what is exported is by
 * construction what was trained.
 *
 * Shapes: N batch, C channels, H height, W width, L tokens, D width of a token. Dimension 0 is always the batch and no
 * operation mixes samples, except `batchNorm` in training mode.
 */
import type { Parameter } from "./parameter.ts"

/** Parameters broadcast like tensors; the interpreter of the tensor they meet materialises them. */
export type Operand = Tensor | Parameter

export interface Tensor {
  /** The ONNX writer does not know the batch size and gives -1 for it (and for L after `trimToLongest`). */
  readonly shape: readonly number[]

  // Elementwise, with broadcasting.
  add(other: Operand): Tensor
  sub(other: Operand): Tensor
  mul(other: Operand | number): Tensor
  /** Exact GELU, by the error function. */
  gelu(): Tensor
  relu(): Tensor
  sigmoid(): Tensor

  // Linear maps.
  /** [N, C, H, W] with weight [O, C/groups, kH, kW] -> [N, O, H', W'] */
  conv2d(weight: Parameter, bias: Parameter | null, geometry: Conv2dGeometry): Tensor
  /** [..., I] with weight [O, I] -> [..., O] */
  linear(weight: Parameter, bias: Parameter | null): Tensor
  /** [..., I] with matrix [I, O] -> [..., O] */
  matmul(matrix: Parameter): Tensor
  /**
   * Multi-head attention of queries (this, [N, L, D]) over keys and values ([N, S, D]) -> [N, L, D]; scores are scaled
   * by (D/heads)^-0.5.
   */
  attention(key: Tensor, value: Tensor, options: AttentionOptions): Tensor
  /** The same of queries, keys and values side by side: [N, L, 3D] -> [N, L, D] */
  selfAttention(options: SelfAttentionOptions): Tensor

  // Normalization.
  /** Over N, H, W per channel (axis 1): batch statistics in training mode (running ones are updated), else running ones. */
  batchNorm(norm: BatchNormParameters): Tensor
  /**
   * This + factor * (sum of the terms), in training as in evaluation. Where an interpreter can, norms that share an input
   * share its statistics. `factor`: C values, [C, 1, 1].
   */
  addNorms(terms: readonly NormTerm[], factor?: Parameter): Tensor
  /** Over the last axis; variance is biased, eps inside the root. */
  layerNorm(weight: Parameter, bias: Parameter, eps: number): Tensor

  // Reduction and layout. Axes count the batch as 0.
  mean(axes: readonly number[], keepDims?: boolean): Tensor
  /** New dimensions after the batch dimension, which stays: [N, ...] -> [N, ...dims]; one of them may be -1. */
  reshape(dims: readonly number[]): Tensor
  permute(order: readonly number[]): Tensor
  narrow(axis: number, start: number, length: number): Tensor
  /** In `parts` pieces of one size along `axis`. */
  split(axis: number, parts: number): readonly Tensor[]
  /** This, then the others, along `axis`; all other sizes are equal. */
  concat(others: readonly Tensor[], axis: number): Tensor
  /** A parameter [...S] once for every sample of this batch: [N, ...S]. */
  repeat(parameter: Parameter): Tensor

  // Tokens, [N, L] integers.
  /** [N, L] with table [V, D] -> [N, L, D] */
  embedding(table: Parameter): Tensor
  /** Adds L rows of table [maxL, D] to [N, L, D]: the first ones, or those that follow the S rows of `past` [N, S, ...]. */
  addPositions(table: Parameter, past?: Tensor): Tensor
  /** [N, L] -> [N]: position of the first largest token id, which is the first EOT. */
  firstEot(): Tensor
  /**
   * [N, L] -> [N, L']: only columns up to the last of the batch's first EOTs, or as an interpreter packs texts of several
   * lengths. Exact for causal towers only.
   */
  trimToLongest(): Tensor
  /** [N, L, D] with positions [N] -> [N, D] */
  rowAt(positions: Tensor): Tensor
  /** [N, L, D] with positions [N] -> [N, L], a `bias` for one query of each text: it sees the keys up to its position. */
  causalBias(positions: Tensor): Tensor
  /**
   * [N, L] -> [N, 1 + L], a `bias` for the row after the tokens of CoCa's text tower: its first key is visible, and key
   * j + 1 where token j is not padding (id 0). The shift by one is the reference's.
   */
  classBias(): Tensor
}

export interface Conv2dGeometry {
  readonly stride: number
  /** Zero padding in rows and in columns. */
  readonly padding: readonly [number, number]
  readonly groups: number
}

export interface AttentionOptions {
  readonly heads: number
  /** Position i sees positions 0..i only; L and S are equal then. */
  readonly causal: boolean
  /** [N, S], added to the scores of every query. */
  readonly bias?: Tensor
}

export type SelfAttentionOptions = Omit<AttentionOptions, "bias">

export interface BatchNormParameters {
  readonly weight: Parameter
  readonly bias: Parameter
  readonly runningMean: Parameter
  readonly runningVar: Parameter
  readonly numBatchesTracked: Parameter
  readonly eps: number
  /** Weight of the new statistics: running = (1 - momentum) * running + momentum * batch. */
  readonly momentum: number
}

/** sign * batchNorm(scale * input) */
export interface NormTerm {
  readonly input: Tensor
  /** A depthwise 1x1 convolution before the norm, [C, 1, 1, 1]. */
  readonly scale?: Parameter | undefined
  readonly norm: BatchNormParameters
  /** 1 by default. */
  readonly sign?: 1 | -1
}
