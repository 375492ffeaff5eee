/**
 * Features of a chunk of pairs, and the way back from their gradients: kept activations, activations made again segment
 * by segment (activation checkpointing), or none. N pairs, L tokens, D embedDim.
 */
import * as torch from "../../torch/index.ts"
import type { Precision } from "../core/precision.ts"
import type { Batch } from "../data/training/batch.ts"
import type { Clip } from "../model/clip.ts"
import type { Segment } from "../model/layers.ts"
import type { Module } from "../model/module.ts"
import type { TorchInterpreter, TorchTensor } from "../tensor/torch.ts"
import { type Compute, computeIn } from "../tensor/torch-encoder.ts"
import { checkpointed, type Step } from "./activation-checkpointing.ts"
import { l2Normalize } from "./loss.ts"

/** What stands for the pairs in the loss; synthetic captions where there are any. */
export type FeatureName = "image" | "text" | "synthetic"

/** Unit rows [N, D]. */
export type Features = Readonly<Partial<Record<FeatureName, torch.Tensor>>>

export interface Encoded {
  readonly features: Features
  /** A part of the loss that needs no other pairs; shape []. */
  readonly local?: torch.Tensor
  /**
   * Adds the parameters' gradients to what they have, from those of the features, which are of the loss times `lossScale`,
   * and from the local part.
   */
  backward(gradients: Features, lossScale: number): void
}

export interface EncodeOptions {
  readonly precision?: Precision
  readonly activationCheckpointing?: boolean
}

/** A batch where it is computed. */
export interface PlacedBatch {
  /** [N, 3, S, S] */
  readonly pixels: TorchTensor
  /** [N, L], or [2N, L]: synthetic captions behind the real ones. */
  readonly ids: TorchTensor
}

export function placeBatch(
  { config: { imageSize, text } }: Clip,
  interpreter: TorchInterpreter,
  { images, tokens, synthetic }: Batch,
): PlacedBatch {
  const pairs = tokens.length / text.contextLength
  const ids = synthetic ? joined(tokens, synthetic) : tokens
  return {
    pixels: interpreter.images(images, [pairs, 3, imageSize, imageSize]),
    ids: interpreter.tokens(ids, [ids.length / text.contextLength, text.contextLength]),
  }
}

function joined(first: BigInt64Array, second: BigInt64Array): BigInt64Array {
  const both = new BigInt64Array(first.length + second.length)
  both.set(first)
  both.set(second, first.length)
  return both
}

/** Encodes with gradients. Pictures and all captions go through their towers once. */
export function encode(model: Clip, interpreter: TorchInterpreter, batch: Batch, options: EncodeOptions = {}): Encoded {
  const towers = towersOf(model, interpreter, placeBatch(model, interpreter, batch))
  const outputs = towers.map((tower) => outputOf(tower, interpreter, options))
  return {
    features: named(
      outputs.map(({ value }) => value),
      batch,
    ),
    backward(gradients) {
      const incoming = joinedGradients(gradients)
      for (const [i, output] of outputs.entries()) {
        if (incoming[i]) output.backward(incoming[i])
      }
    },
  }
}

/**
 * `encode` where only the way back is wanted: towers that are not trained stay out, and the activations of the others are
 * there one after the other.
 */
export function encodeBackward(
  model: Clip,
  interpreter: TorchInterpreter,
  placed: PlacedBatch,
  options: EncodeOptions,
  gradients: Features,
): void {
  const incoming = joinedGradients(gradients)
  for (const [i, tower] of towersOf(model, interpreter, placed).entries()) {
    const gradient = incoming[i]
    if (gradient && tower.trained) torch.scope(() => outputOf(tower, interpreter, options).backward(gradient))
  }
}

/** Features alone. Batch-norm statistics are tracked as the interpreter says. */
export function encodeFeatures(
  model: Clip,
  interpreter: TorchInterpreter,
  batch: Batch,
  options: EncodeOptions = {},
  placed = placeBatch(model, interpreter, batch),
): Features {
  const compute = computeIn(interpreter, options.precision)
  const values = torch.noGrad(() =>
    towersOf(model, interpreter, placed).map((tower) => kept(tower, interpreter, compute).value),
  )
  return named(values, batch)
}

/** Pairs [start, start + count) of a batch. */
export function sliceBatch(batch: Batch, pairs: number, start: number, count: number): Batch {
  const rows = <T extends Float32Array | BigInt64Array>(values: T) => rowsOf(values, pairs, start, count)
  const { images, tokens, synthetic } = batch
  return { images: rows(images), tokens: rows(tokens), ...(synthetic && { synthetic: rows(synthetic) }) }
}

/** Rows [start, start + count) of `rows`, sharing memory. */
export function rowsOf<T extends Float32Array | BigInt64Array>(
  values: T,
  rows: number,
  start: number,
  count: number,
): T {
  const width = values.length / rows
  return values.subarray(start * width, (start + count) * width) as T
}

// ---------------------------------------------------------------------------------------------------- one tower

interface Tower {
  readonly input: torch.Tensor
  readonly segments: readonly Segment[]
  /** Whether any of its parameters is. */
  readonly trained: boolean
}

interface TowerOutput {
  /** Unit rows, in the interpreter's dtype. */
  readonly value: torch.Tensor
  backward(gradient: torch.Tensor): void
}

/** Images, then captions. */
function towersOf({ image, text }: Clip, interpreter: TorchInterpreter, { pixels, ids }: PlacedBatch): Tower[] {
  return [
    { input: pixels.value, segments: image.segments(), trained: isTrained(interpreter, image) },
    { input: ids.value, segments: text.segments(ids), trained: isTrained(interpreter, text) },
  ]
}

export function isTrained(interpreter: TorchInterpreter, module: Module): boolean {
  return [...module.namedParameters().values()].some((parameter) => interpreter.value(parameter).requiresGrad)
}

function outputOf(tower: Tower, interpreter: TorchInterpreter, options: EncodeOptions): TowerOutput {
  const compute = computeIn(interpreter, options.precision)
  return options.activationCheckpointing ? repeatable(tower, interpreter, compute) : kept(tower, interpreter, compute)
}

function kept({ input, segments }: Tower, interpreter: TorchInterpreter, compute: Compute): TowerOutput {
  // Intermediate tensors live in the graph only, which backward takes down as it goes; what it does not need is freed
  // segment by segment.
  const run = (segment: Segment, x: torch.Tensor) => torch.scope(() => interpreter.unwrap(segment(interpreter.wrap(x))))
  const value = torch.scope(() => {
    const output = compute(() => segments.reduce((x, segment) => run(segment, x), input))
    return unitRows(interpreter, output)
  })
  return { value, backward: (gradient) => value.requiresGrad && value.backward(gradient) }
}

/** A tower that is not trained is not repeated. */
function repeatable({ input, segments, trained }: Tower, interpreter: TorchInterpreter, compute: Compute): TowerOutput {
  const steps = [
    ...stepsOf(interpreter, segments, compute),
    ([x]: readonly torch.Tensor[]) => [unitRows(interpreter, x!)],
  ]
  const { outputs, backward } = checkpointed(interpreter, steps, [input])
  return {
    value: outputs[0]!,
    backward(gradient) {
      if (trained) backward([gradient])
    },
  }
}

/** Segments as steps with one tensor each. */
export function stepsOf(interpreter: TorchInterpreter, segments: readonly Segment[], compute: Compute): Step[] {
  return segments.map((segment) => ([x]) => [interpreter.unwrap(compute(() => segment(interpreter.wrap(x!))))])
}

/** In the interpreter's dtype. */
export function unitRows(interpreter: TorchInterpreter, features: torch.Tensor): torch.Tensor {
  return l2Normalize(features.to({ dtype: interpreter.dtype }))
}

function named([image, texts]: readonly torch.Tensor[], { synthetic }: Batch): Features {
  if (!synthetic) return { image: image!, text: texts! }
  const pairs = image!.shape[0]!
  return { image: image!, text: texts!.narrow(0, 0, pairs), synthetic: texts!.narrow(0, pairs, pairs) }
}

function joinedGradients({ image, text, synthetic }: Features): (torch.Tensor | undefined)[] {
  return [image, text && (synthetic ? torch.cat([text, synthetic]) : text)]
}
