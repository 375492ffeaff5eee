/**
 * One training step: encode, loss over the whole batch, back through the towers, clip, update, clamp.
 *
 * The loss sees features only, so the batch it compares is not bounded by memory: with `chunkSize` the features are made
 * without gradients, chunk by chunk, and each chunk is encoded again when its features' gradients are known (gradient
 * caching, arXiv 2101.06983).
 */
import * as torch from "../../torch/index.ts"
import { UserError } from "../core/errors.ts"
import type { Precision } from "../core/precision.ts"
import type { Batch } from "../data/training/batch.ts"
import type { CheckpointModel } from "../model/checkpoint/checkpoint.ts"
import { Clip } from "../model/clip.ts"
import type { TorchInterpreter } from "../tensor/torch.ts"
import { repeated } from "./activation-checkpointing.ts"
import type { GradientReducer, ProcessGroup } from "./distributed/process-group.ts"
import { clipEncoder, type Encoded, type Encoder, type FeatureName, type Features, sliceBatch } from "./encode.ts"
import { captionEncoder, countLabels } from "./encode-captions.ts"
import type { GatheredFeatures } from "./loss.ts"
import { captioningOf, checkBatch, featureLosses, type LossInput, type ObjectiveConfig } from "./objective.ts"
import { type AdamW, clipScale, gradNormOf, scaleGradients } from "./optimizer/adamw.ts"
import type { Ema } from "./optimizer/ema.ts"
import { afterStep, type LossScalerState } from "./optimizer/loss-scaler.ts"
import type { RangeAugment } from "./range-augment.ts"

export interface StepConfig {
  readonly objective: ObjectiveConfig
  readonly learningRate: number
  readonly gradClipNorm: number
  /** Pairs encoded at once; absent: all. Batch norm's batch is a chunk. */
  readonly chunkSize?: number
  /** The precision of matrix products and convolutions; weights, sums and the loss are in float32. */
  readonly precision?: Precision
  readonly activationCheckpointing?: boolean
}

/** What gradients depend on. */
export type GradientConfig = Omit<StepConfig, "learningRate" | "gradClipNorm">

export interface Measurements {
  /** The sum of `losses`. */
  readonly loss: number
  /** By name, weighted. */
  readonly losses: Readonly<Record<string, number>>
  /** Joint norm of the parameters' gradients before clipping; infinite where a float16 step was left out. */
  readonly gradNorm: number
  /** exp(logitScale) the loss was computed with. */
  readonly logitScale: number
}

/** logitScale is kept within [0, ln 100]. */
const maxLogitScale = Math.log(100)

/** Everything a step changes. */
export interface Trainer<Model extends CheckpointModel = CheckpointModel> {
  readonly model: Model
  readonly interpreter: TorchInterpreter
  readonly optimizer: AdamW
  readonly ema?: Ema | undefined
  /** Changes the pictures, and learns how much; only with CLIP models. Its `begin` sets the step. */
  readonly rangeAugment?: RangeAugment | undefined
  /** Only with float16. */
  lossScaler?: LossScalerState | undefined
  /** Where several processes train one model, each on its part of every batch. */
  readonly ranks?: Ranks | undefined
}

interface Ranks {
  readonly group: ProcessGroup
  /** Averages the gradients of the trainable parameters. */
  readonly reducer: GradientReducer
}

/**
 * Updates the parameters once. Where loss or gradients are not finite, a float16 step leaves everything as it was but the
 * loss scale, which it halves; any other throws a UserError before a parameter is changed.
 */
export function trainStep(trainer: Trainer, batch: Batch, config: StepConfig): Measurements {
  const statistics = trainer.lossScaler && new KeptTensors(trainer.interpreter.buffers())
  try {
    const measured = computeGradients(trainer, batch, config)
    const gradNorm = updateParameters(trainer, config, measured.loss)
    if (!Number.isFinite(gradNorm)) statistics?.restore()
    return { ...measured, gradNorm }
  } finally {
    statistics?.free()
  }
}

/** The losses over all processes are the means of theirs. Every process waits for the others here. */
export function meanOverRanks(measured: Measurements, { group }: Ranks): Measurements {
  const names = Object.keys(measured.losses)
  const [loss, ...parts] = group.mean([measured.loss, ...Object.values(measured.losses)])
  return { ...measured, loss: loss!, losses: Object.fromEntries(names.map((name, i) => [name, parts[i]!])) }
}

/**
 * Forward and backward: afterwards every parameter has its gradient, unclipped, in units of the loss scale. Throws a
 * UserError when the loss is not finite, unless it is scaled: then the step is to be left out.
 */
export function computeGradients(
  trainer: Trainer,
  batch: Batch,
  config: GradientConfig,
): Omit<Measurements, "gradNorm"> {
  checkBatch(config.objective, batch)
  const { ranks } = trainer
  const gradients = () => torch.scope(() => localGradients(trainer, batch, config))
  if (!ranks) return gradients()
  // Backward passes communicate too.
  return ranks.group.guard(() => {
    const measured = gradients()
    ranks.reducer.finish()
    return measured
  })
}

function localGradients(trainer: Trainer, batch: Batch, config: GradientConfig): Omit<Measurements, "gradNorm"> {
  const { losses, total, scale, chunkLoss } = gradientTensors(trainer, batch, config)
  const byName = Object.fromEntries(Object.entries(losses).map(([name, loss]) => [name, loss.item()]))
  return {
    loss: trainer.lossScaler ? total.item() + chunkLoss : finite("loss", total.item() + chunkLoss),
    losses: { ...byName, ...namedChunkLoss(trainer, config, chunkLoss) },
    logitScale: scale.item(),
  }
}

/** What a step measures, where it was computed: tensors of shape []. */
export interface GradientTensors {
  readonly losses: Readonly<Record<string, torch.Tensor>>
  /** Their sum, without `chunkLoss`. */
  readonly total: torch.Tensor
  readonly scale: torch.Tensor
  /** What the chunks add by themselves. */
  readonly chunkLoss: number
}

/** Forward and backward of one process. With a CLIP model no number is read back from the device. */
export function gradientTensors(trainer: Trainer, batch: Batch, config: GradientConfig): GradientTensors {
  const chunks = chunksOf(trainer, batch, config)
  const leaves = joined(chunks.map(({ features }) => features))
  const { model, interpreter, optimizer, lossScaler } = trainer
  const lossScale = lossScaler?.scale ?? 1
  const scale = interpreter.value(model.logitScale).exp()
  // A similarity of ten bits times a scale of 100 is a logit that is off by as much as 0.1.
  const { losses, total } = torch.region("loss", () =>
    torch.withoutTf32(() => {
      const losses = featureLosses(config.objective, lossInput(trainer, leaves, batch, scale))
      const total = Object.values(losses).reduce((sum, loss) => sum.add(loss))
      optimizer.zeroGrad()
      total.mul(lossScale).backward()
      return { losses, total }
    }),
  )
  const local = chunks.map((chunk, i) => {
    if (i === chunks.length - 1) trainer.ranks?.reducer.arm()
    return torch.scope(() => chunk.backward(gradientsOf(leaves, chunk), lossScale))
  })
  return { losses, total, scale, chunkLoss: local.reduce((sum, value) => sum + value, 0) }
}

/** What the chunks add to the loss by themselves. */
function namedChunkLoss(
  { rangeAugment }: Trainer,
  { objective }: GradientConfig,
  value: number,
): Readonly<Record<string, number>> {
  if (captioningOf(objective)) return { caption: value }
  return rangeAugment ? { augmentation: value } : {}
}

/**
 * Clips the gradients, updates, clamps `logitScale`; returns the gradients' joint norm before clipping, infinite where a
 * float16 step is left out: on all processes, if any one's loss or gradients overflow, those of the ranges among them.
 *
 * @param loss this process's own, for float16; any other was checked with the gradients
 */
export function updateParameters(
  trainer: Trainer,
  config: Pick<StepConfig, "learningRate" | "gradClipNorm">,
  loss = 0,
): number {
  const { model, interpreter, optimizer, ema, rangeAugment, lossScaler, ranks } = trainer
  const parameters = [...interpreter.trainable().values()]
  if (lossScaler) scaleGradients(parameters, 1 / lossScaler.scale)
  const gradNorm = gradNormOf(parameters)
  if (lossScaler) {
    const own = !(Number.isFinite(gradNorm) && Number.isFinite(loss) && (rangeAugment?.isFinite ?? true))
    const overflow = ranks ? ranks.group.any(own) : own
    trainer.lossScaler = afterStep(lossScaler, overflow)
    if (overflow) return Number.POSITIVE_INFINITY
  }
  finite("norm of the gradients", gradNorm)
  // First, because it throws where it cannot be made.
  rangeAugment?.update(config.learningRate, ranks && ((values) => ranks.group.mean(values)))
  optimizer.step(config.learningRate, clipScale(gradNorm, config.gradClipNorm))
  torch.scope(() => {
    torch.noGrad(() => interpreter.value(model.logitScale).clamp_(0, maxLogitScale))
  })
  ema?.update(optimizer.updates - 1)
  return gradNorm
}

/** Copies of tensors, for a step that may be left out: batch norm's statistics would never be finite again. */
class KeptTensors {
  private readonly copies: readonly torch.Tensor[]

  constructor(private readonly tensors: readonly torch.Tensor[]) {
    this.copies = torch.noGrad(() => tensors.map((tensor) => tensor.clone()))
  }

  restore(): void {
    torch.noGrad(() => torch.scope(() => this.tensors.forEach((tensor, i) => void tensor.copy_(this.copies[i]!))))
  }

  free(): void {
    for (const copy of this.copies) copy.free()
  }
}

// ------------------------------------------------------------------------------------------------------- chunks

interface Chunk extends Encoded {
  /** The position of its first pair in the batch. */
  readonly start: number
}

function chunksOf(trainer: Trainer, batch: Batch, config: GradientConfig): Chunk[] {
  const { model, interpreter } = trainer
  const encoder = encoderOf(trainer, batch, config)
  const pairs = batch.tokens.length / model.config.text.contextLength
  const size = config.chunkSize ?? pairs
  if (size >= pairs) return [{ start: 0, ...encoder(batch).encode() }]
  return Array.from({ length: Math.ceil(pairs / size) }, (_, i) => {
    const start = i * size
    const chunk = encoder(sliceBatch(batch, pairs, start, Math.min(size, pairs - start)), start)
    return {
      start,
      features: torch.scope(() => chunk.features()),
      backward: (gradients, lossScale) => repeated(interpreter, () => chunk.backward(gradients, lossScale)),
    }
  })
}

/** How the model encodes pairs in this step. Nothing else here depends on which model it is. */
function encoderOf(trainer: Trainer, { tokens }: Batch, config: GradientConfig): Encoder {
  const { model, interpreter, rangeAugment: ranges, ranks } = trainer
  const { contextLength } = model.config.text
  if (model instanceof Clip) {
    const augmentation = ranges && { ranges, pairsInBatch: tokens.length / contextLength }
    return clipEncoder(model, interpreter, { ...config, ...(augmentation && { augmentation }) })
  }
  const own = countLabels(tokens, contextLength)
  // The mean over ranks: how much a caption counts does not depend on the rank that has it.
  const labels = ranks ? ranks.group.mean([own])[0]! : own
  const { captionWeight, sampledWords } = captioningOf(config.objective) ?? { captionWeight: 0 }
  return captionEncoder(model, interpreter, {
    ...config,
    ...{ captionWeight, labels },
    ...(sampledWords !== undefined && { sampledWords }),
  })
}

/** Features of all chunks as leaves of the loss. */
function joined(chunks: readonly Features[]): Features {
  const names = Object.keys(chunks[0]!) as FeatureName[]
  return Object.fromEntries(
    names.map((name) => [
      name,
      torch
        .cat(chunks.map((chunk) => chunk[name]!))
        .detach()
        .requiresGrad_(),
    ]),
  )
}

function gradientsOf(leaves: Features, { start, features }: Chunk): Features {
  const names = Object.keys(features) as FeatureName[]
  return Object.fromEntries(
    names.map((name) => [name, leaves[name]!.grad!.narrow(0, start, features[name]!.shape[0]!)]),
  )
}

/** Features of other processes are gathered with gradients, those of teachers without. */
function lossInput(
  { model, interpreter, ranks }: Trainer,
  { image, text, synthetic }: Features,
  { teacher }: Batch,
  scale: torch.Tensor,
): LossInput {
  const group = ranks?.group
  const gathered = (rows: torch.Tensor): GatheredFeatures => ({
    rows,
    all: group ? group.gatherWithGradient(rows) : rows,
  })
  const pairs = image!.shape[0]!
  return {
    image: gathered(image!),
    text: gathered(text!),
    ...(synthetic && { synthetic: gathered(synthetic) }),
    ...(teacher && { teacher: gatherTeachers(interpreter, teacher, pairs, group) }),
    scale,
    ...(model.logitBias && { bias: interpreter.value(model.logitBias) }),
    offset: pairs * (group?.rank ?? 0),
  }
}

function gatherTeachers(
  interpreter: TorchInterpreter,
  teacher: NonNullable<Batch["teacher"]>,
  pairs: number,
  group: ProcessGroup | undefined,
) {
  const gathered = (values: Float32Array): GatheredFeatures => {
    const rows = interpreter.rows(values, [pairs, values.length / pairs])
    return { rows, all: group ? group.gather(rows) : rows }
  }
  const { image, text, synthetic, widths } = teacher
  return { image: gathered(image), text: gathered(text), ...(synthetic && { synthetic: gathered(synthetic) }), widths }
}

function finite(what: string, value: number): number {
  if (Number.isFinite(value)) return value
  throw new UserError(`the ${what} is ${value}`, "lower the learning rate, or look for broken pictures")
}
