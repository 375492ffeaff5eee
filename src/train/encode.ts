/**
 * Features of a chunk of pairs, and the backward pass from their gradients: with activations that are kept, with activations
 * that are computed again segment by segment (activation checkpointing), or without any. N pairs, L tokens, D embedDim.
 */
import * as torch from "../../torch/index.ts"
import type { Precision } from "../core/precision.ts"
import type { Batch } from "../data/training/batch.ts"
import type { CheckpointModel } from "../model/checkpoint/checkpoint.ts"
import type { Clip } from "../model/clip.ts"
import type { Segment } from "../model/layers.ts"
import type { Module } from "../model/module.ts"
import type { TorchInterpreter, TorchTensor } from "../tensor/torch.ts"
import { type Compute, computeIn } from "../tensor/torch-encoder.ts"
import type { Packing } from "../tensor/torch-packing.ts"
import { checkpointed, type Step } from "./activation-checkpointing.ts"
import { l2Normalize } from "./loss.ts"
import type { Augmented, RangeAugment } from "./range-augment.ts"

/** The features that the loss compares; synthetic captions where there are any. */
export type FeatureName = "image" | "text" | "synthetic"

/** Unit rows [N, D]. */
export type Features = Readonly<Partial<Record<FeatureName, torch.Tensor>>>

/** Prepares a chunk of a batch for a model; `start` is the position of its first pair in the batch, 0 by default. */
export type Encoder = (chunk: Batch, start?: number) => ChunkEncoding

/** The ways to encode one chunk. */
interface ChunkEncoding {
  /** Features with gradients: activations are kept, or computed again segment by segment in the backward pass. */
  encode(): Encoded
  /** Features without gradients. Batch statistics are tracked as the interpreter says. */
  features(): Features
  /** Encodes and goes back at once, where the features are known already. */
  backward: Encoded["backward"]
}

export interface Encoded {
  readonly features: Features
  /**
   * Adds to the parameters' gradients, from those of the features, which are of the loss times `lossScale`, and from the
   * chunk's own part of the loss, which needs no other pairs. Returns the value of that part, 0 without one.
   */
  backward(gradients: Features, lossScale: number): number
}

export interface EncodeOptions {
  readonly precision?: Precision
  readonly activationCheckpointing?: boolean
}

interface ClipOptions extends EncodeOptions {
  /** Changes the pictures that the image tower sees. Its loss is the chunk's own part. */
  readonly augmentation?: { readonly ranges: RangeAugment; readonly pairsInBatch: number }
}

/** The encoder of a contrastive model: pictures and all captions go through their towers once. */
export function clipEncoder(model: Clip, interpreter: TorchInterpreter, options: ClipOptions = {}): Encoder {
  return (chunk, start = 0) => {
    // All passes read the same pixels.
    const placed = placeBatch(model, interpreter, chunk)
    const towers = (pixels: torch.Tensor) =>
      towersOf(model, interpreter, { ...placed, pixels: interpreter.wrap(pixels) })
    const pictures = picturesOf(model, interpreter, placed.pixels.value, start, options)
    return {
      encode() {
        const { pixels, backward: augmentationBackward } = pictures.withGradients()
        const outputs = towers(pixels).map((tower) => outputOf(tower, interpreter, options))
        const values = outputs.map(({ value }) => value)
        const backward: Encoded["backward"] = (gradients, lossScale) => {
          const incoming = joinedGradients(gradients)
          for (const [i, output] of outputs.entries()) if (incoming[i]) output.backward(incoming[i])
          return augmentationBackward(lossScale)
        }
        return { features: named(values, chunk), backward }
      },
      features() {
        const compute = computeIn(interpreter, options.precision)
        const values = torch.noGrad(() =>
          towers(pictures.pixels()).map((tower) => kept(tower, interpreter, compute).value),
        )
        return named(values, chunk)
      },
      /** Without the towers that are not trained, and with the activations of one tower at a time. */
      backward(gradients, lossScale) {
        const incoming = joinedGradients(gradients)
        const { pixels, backward: augmentationBackward } = pictures.withGradients()
        for (const [i, tower] of towers(pixels).entries()) {
          const gradient = incoming[i]
          if (gradient && tower.trained) torch.scope(() => outputOf(tower, interpreter, options).backward(gradient))
        }
        return augmentationBackward(lossScale)
      },
    }
  }
}

/** The pictures of a chunk as the image tower sees them: the same in every pass of a step. */
interface Pictures {
  pixels(): torch.Tensor
  withGradients(): Augmented
}

function picturesOf(
  { image }: Clip,
  interpreter: TorchInterpreter,
  pixels: torch.Tensor,
  start: number,
  { augmentation }: ClipOptions,
): Pictures {
  if (!augmentation) return { pixels: () => pixels, withGradients: () => ({ pixels, backward: () => 0 }) }
  const { ranges, pairsInBatch } = augmentation
  return {
    pixels: () => ranges.see(pixels, start),
    withGradients: () => ranges.augment(pixels, start, pairsInBatch, isTrained(interpreter, image)),
  }
}

/** A batch on the device. */
export interface PlacedBatch {
  /** [N, 3, S, S] */
  readonly pixels: TorchTensor
  /** [N, L], or [2N, L]: synthetic captions after the real ones. */
  readonly ids: TorchTensor
}

export function placeBatch(
  { config: { imageSize, text } }: CheckpointModel,
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
  /** Whether any of its parameters is trained. */
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
  const value = torch.scope(() => {
    const run = segmentRunner(interpreter)
    const output = compute(() => segments.reduce((x, segment, i) => torch.scope(() => run(segment, x, i)), input))
    return unitRows(interpreter, output)
  })
  return { value, backward: (gradient) => value.requiresGrad && value.backward(gradient) }
}

/** A tower that is not trained is not repeated. The input gets its gradient where it requires one, as in a plain pass. */
function repeatable({ input, segments, trained }: Tower, interpreter: TorchInterpreter, compute: Compute): TowerOutput {
  const steps = [
    ...stepsOf(interpreter, segments, compute),
    ([x]: readonly torch.Tensor[]) => [unitRows(interpreter, x!)],
  ]
  const { outputs, backward } = checkpointed(interpreter, steps, [input], input.requiresGrad)
  return {
    value: outputs[0]!,
    backward(gradient) {
      if (!trained) return
      const [inputGradient] = backward([gradient])
      if (inputGradient) input.grad = inputGradient
    },
  }
}

/** Segments as steps with one tensor each. */
export function stepsOf(interpreter: TorchInterpreter, segments: readonly Segment[], compute: Compute): Step[] {
  const run = segmentRunner(interpreter)
  return segments.map((segment, i) => ([x]) => [compute(() => run(segment, x!, i))])
}

/** Runs segments of a tower on bare tensors, which do not say how texts are packed: each segment told the next one. */
function segmentRunner(interpreter: TorchInterpreter) {
  const packings: (Packing | undefined)[] = []
  return (segment: Segment, x: torch.Tensor, i: number) => {
    const y = segment(interpreter.wrap(x, packings[i]))
    packings[i + 1] = interpreter.packing(y)
    return interpreter.unwrap(y)
  }
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
