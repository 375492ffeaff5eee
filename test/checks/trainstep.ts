/**
 * Three training steps against the reference, in float64 and in float32: features, gradients, batch-norm statistics,
 * losses, gradient norms, parameters, and the features of the trained model in eval mode.
 */
import { readFileSync } from "node:fs"
import { fill, u } from "../../src/core/arrays/fill.ts"
import type { Batch } from "../../src/data/training/batch.ts"
import { loadStateDict } from "../../src/model/checkpoint/state-dict.ts"
import { type PublishedTensor, publishedTensors } from "../../src/model/checkpoint/weights.ts"
import { Clip } from "../../src/model/clip.ts"
import { widthsOfUnitParts } from "../../src/reinforce/tools/unit-parts.ts"
import { TorchInterpreter, type TorchOptions } from "../../src/tensor/torch.ts"
import { clipEncoder, type Features } from "../../src/train/encode.ts"
import type { ObjectiveConfig } from "../../src/train/objective.ts"
import { AdamW, decayOf } from "../../src/train/optimizer/adamw.ts"
import { computeGradients, type Trainer, updateParameters } from "../../src/train/step.ts"
import * as torch from "../../torch/index.ts"
import { type Check, exact } from "./check.ts"
import { type CustomTower, clipConfig, type GoldenConfig } from "./modelConfig.ts"
import * as tolerances from "./tolerances.ts"

type Rows = readonly (readonly number[])[]

interface TrainStepFile {
  readonly batch: number
  readonly tokens: Rows
  readonly syn_tokens: Rows
  /** Unit rows of the teachers side by side. */
  readonly teacher: { readonly image: Rows; readonly text: Rows; readonly syn: Rows }
  readonly logit_scale_initial: number
  readonly optimizer: {
    readonly lr: number
    readonly betas: readonly [number, number]
    readonly weight_decay: number
    readonly grad_clip_norm: number
  }
  readonly runs: Readonly<Record<string, Run>>
}

type Run = Readonly<Record<`eps_${string}`, Reference>> & {
  readonly config: GoldenConfig["config"]
  readonly image_tower_args: CustomTower
  readonly weight_decay_params: readonly string[]
}

interface Reference {
  readonly f64: {
    readonly steps: readonly {
      losses: Record<string, number>
      total: number
      logit_scale_exp: number
      grad_norm_before_clip: number
      logit_scale_param_after: number
    }[]
    readonly image_features_norm: Rows
    readonly text_features_norm: Rows
    readonly bn_after_first_forward: Readonly<Record<string, readonly number[]>>
    readonly grads_step0: Readonly<Record<string, { norm: number; sum: number; first4: readonly number[] }>>
    readonly params_after_step_1: Summaries
    readonly params_after_step_3: Summaries
    readonly bn_after_step_3: Summaries
    readonly eval_image_features_after_step_3: Rows
    readonly eval_text_features_after_step_3: Rows
  }
  readonly f32_vs_f64_param_maxabs_after_step_3: Readonly<Record<string, number>>
}

/** Per tensor: sum, sum of magnitudes, norm, first four values (fewer in smaller tensors; a scalar repeats). */
type Summaries = Readonly<Record<string, readonly number[]>>

export function* checkTrainStep(file: string, device: torch.Device): Iterable<Check> {
  const golden = JSON.parse(readFileSync(file, "utf8")) as TrainStepFile
  for (const [name, run] of Object.entries(golden.runs))
    for (const [key, reference] of references(run))
      for (const engine of engines(device))
        yield* prefixed(
          `run ${name}, ${key}, ${describe(engine)}`,
          checkRun(golden, run, reference, Number(key.slice(4)), engine),
        )
}

type Engine = Required<Pick<TorchOptions, "device" | "channelsLast">> & { readonly dtype: "float32" | "float64" }

/** Channels-last where it is used: not on the processor. */
function engines(device: torch.Device): Engine[] {
  const layouts = device === "cpu" ? [false] : [false, true]
  return (["float64", "float32"] as const).flatMap((dtype) =>
    layouts.map((channelsLast) => ({ dtype, device, channelsLast })),
  )
}

function describe({ dtype, device, channelsLast }: Engine): string {
  return [dtype, ...(device === "cpu" ? [] : [device]), ...(channelsLast ? ["channels last"] : [])].join(", ")
}

function references(run: Run): [string, Reference][] {
  return Object.entries(run).filter(([key]) => key.startsWith("eps_")) as unknown as [string, Reference][]
}

/** The file's: DRClipLoss with two teachers where it is distilled, ClipLoss else. */
function objectiveOf(reference: Reference): ObjectiveConfig {
  if (!("distill_loss" in reference.f64.steps[0]!.losses)) return { kind: "clip" }
  return { kind: "distill", weights: [0.25, 0.75], scales: [70, 60], averageAfterSoftmax: true }
}

function* prefixed(prefix: string, checks: Iterable<Check>): Iterable<Check> {
  for (const check of checks) yield { ...check, what: `${prefix}: ${check.what}` }
}

function* checkRun(
  golden: TrainStepFile,
  run: Run,
  reference: Reference,
  eps: number,
  engine: Engine,
): Iterable<Check> {
  const probe = new Probe(golden, run, eps, engine, objectiveOf(reference))
  const { f64, f32_vs_f64_param_maxabs_after_step_3: bounds } = reference
  const { exactness, noise } = tolerances.training[engine.dtype]
  const { learningRate, gradClipNorm } = probe
  const features = probe.features()
  yield {
    what: "image features of the first batch",
    error: maxError(features.image, f64.image_features_norm.flat()),
    tolerance: exactness,
  }
  yield {
    what: "text features of the first batch",
    error: maxError(features.text, f64.text_features_norm.flat()),
    tolerance: exactness,
  }
  yield exact("parameters with weight decay", probe.hasDecayed(run.weight_decay_params))

  let [losses, norms, scales] = [0, 0, 0]
  for (const [i, step] of f64.steps.entries()) {
    const { loss } = computeGradients(probe.trainer, probe.batch, { objective: probe.objective })
    if (i === 0) {
      yield {
        what: "batch-norm statistics after the first forward",
        error: probe.statisticsError(f64.bn_after_first_forward, "whole"),
        tolerance: exactness,
      }
      yield {
        what: "gradients, relative to their norms",
        error: probe.gradientError(f64.grads_step0),
        tolerance: exactness * 10,
      }
    }
    const gradNorm = updateParameters(probe.trainer, { learningRate, gradClipNorm })
    losses = Math.max(losses, Math.abs(loss - step.total))
    norms = Math.max(norms, Math.abs(gradNorm / step.grad_norm_before_clip - 1))
    scales = Math.max(scales, Math.abs(probe.logitScale() - step.logit_scale_param_after))
    // The tolerances are those of three float32 steps, so a float32 run is compared with them after step 3 only.
    if (i === 0 && engine.dtype === "float64")
      yield {
        what: "parameters after step 1, in their own tolerances",
        error: probe.parameterError(f64.params_after_step_1, bounds),
        tolerance: noise,
      }
  }
  yield { what: "losses", error: losses, tolerance: exactness * 10 }
  yield { what: "gradient norms, relative", error: norms, tolerance: exactness * 10 }
  yield { what: "logit scales", error: scales, tolerance: exactness }
  yield {
    what: "parameters after step 3, in their own tolerances",
    error: probe.parameterError(f64.params_after_step_3, bounds),
    tolerance: noise,
  }
  yield {
    what: "batch-norm statistics after step 3",
    error: probe.statisticsError(f64.bn_after_step_3, "summary"),
    tolerance: exactness * 100,
  }
  const evaluated = probe.evaluate(f64.eval_image_features_after_step_3.length)
  yield {
    what: "image features after step 3, eval mode",
    error: maxError(evaluated.image, f64.eval_image_features_after_step_3.flat()),
    tolerance: exactness * 100,
  }
  yield {
    what: "text features after step 3, eval mode",
    error: maxError(evaluated.text, f64.eval_text_features_after_step_3.flat()),
    tolerance: exactness * 100,
  }
  probe.free()
}

/** A model at the start of a run, with its optimiser, and how it compares with the file. */
class Probe {
  readonly trainer: Trainer<Clip>
  readonly batch: Batch
  readonly learningRate: number
  readonly gradClipNorm: number
  private readonly published: Map<string, PublishedTensor>
  private readonly start: () => Trainer<Clip>

  constructor(
    golden: TrainStepFile,
    run: Run,
    eps: number,
    engine: Engine,
    readonly objective: ObjectiveConfig,
  ) {
    const flavour = "image_cfg" in run.config ? "apple" : "openclip"
    const config = clipConfig({ flavour, config: run.config, custom_image_tower_args: run.image_tower_args })
    const { lr, betas, weight_decay, grad_clip_norm } = golden.optimizer
    this.learningRate = lr
    this.gradClipNorm = grad_clip_norm
    const distilled = objective.kind === "distill"
    this.batch = {
      images: trainImages(golden.batch, config.imageSize),
      tokens: ids(golden.tokens),
      ...(distilled && { synthetic: ids(golden.syn_tokens), teacher: teacherOf(golden) }),
    }
    this.start = () => {
      const model = new Clip(config)
      loadFilled(model, flavour, golden.logit_scale_initial)
      const interpreter = new TorchInterpreter(model, { ...engine, training: true })
      const adamW = { beta1: betas[0], beta2: betas[1], eps, weightDecay: weight_decay }
      return { model, interpreter, optimizer: new AdamW(interpreter.trainable(), adamW, { isDecayed: decayOf(model) }) }
    }
    this.trainer = this.start()
    this.published = publishedTensors(this.trainer.model, flavour)
  }

  /** From another copy, because a forward in training mode changes the running statistics. */
  features() {
    const { model, interpreter, optimizer } = this.start()
    const result = torch.scope(() => hostFeatures(clipEncoder(model, interpreter)(this.batch).features()))
    optimizer.free()
    interpreter.free()
    return result
  }

  /** Features of the first `count` samples in eval mode, not normalised. */
  evaluate(count: number) {
    const { model, interpreter } = this.trainer
    const { imageSize, text } = model.config
    interpreter.training = false
    return torch.scope(() =>
      torch.noGrad(() => {
        const pixels = interpreter.images(this.batch.images.slice(0, count * 3 * imageSize ** 2), [
          count,
          3,
          imageSize,
          imageSize,
        ])
        const ids = interpreter.tokens(this.batch.tokens.slice(0, count * text.contextLength), [
          count,
          text.contextLength,
        ])
        return hostFeatures({
          image: interpreter.unwrap(model.encodeImage(pixels)),
          text: interpreter.unwrap(model.encodeText(ids)),
        })
      }),
    )
  }

  hasDecayed(keys: readonly string[]): boolean {
    const { interpreter, model } = this.trainer
    const decayed = [...interpreter.trainable().keys()].filter(decayOf(model))
    const ours = new Set(decayed.map((path) => this.published.get(path)!.key))
    return ours.size === keys.length && keys.every((key) => ours.has(key))
  }

  logitScale(): number {
    return this.trainer.interpreter.value(this.trainer.model.logitScale).item()
  }

  /** Largest difference of running means and variances, which the file gives whole, or as sum, magnitude and first four. */
  statisticsError(reference: Summaries, form: "whole" | "summary"): number {
    return this.worst(reference, (values, expected) => {
      const [sum, magnitude, , ...first] = summary(values)
      return maxError(form === "whole" ? values : [sum!, magnitude!, ...first], expected)
    })
  }

  gradientError(reference: Reference["f64"]["grads_step0"]): number {
    const { interpreter } = this.trainer
    const errors = [...interpreter.trainable()].map(([path, parameter]) => {
      const tensor = this.published.get(path)!
      const { norm, sum, first4 } = reference[tensor.key]!
      const values = layout(interpreterValues(parameter.grad!), tensor)
      const [ourSum, , ourNorm, ...first] = summary(values)
      const error = maxError([ourNorm!, ourSum!, ...first.slice(0, first4.length)], [norm, sum, ...first4])
      // Some gradients are zero in exact arithmetic (a scale branch before batch norm): their noise counts as it is.
      return error / Math.max(1, norm)
    })
    return Math.max(...errors)
  }

  /** Largest error of any parameter in units of its own tolerance; the JSON's 13 digits set a floor under that. */
  parameterError(reference: Summaries, bounds: Readonly<Record<string, number>>): number {
    return this.worst(reference, (values, expected, key) => {
      const [sum, magnitude, norm, ...first] = expected.map((x, i) => Math.abs(x - (summary(values)[i] ?? x)))
      const perValue = bounds[key]! + 1e-12
      const perSum = perValue * values.length + 1e-12 * expected[1]!
      return Math.max(sum! / perSum, magnitude! / perSum, norm! / perSum, ...first.map((error) => error / perValue))
    })
  }

  free(): void {
    this.trainer.optimizer.free()
    this.trainer.interpreter.free()
  }

  private worst(
    reference: Summaries,
    error: (values: Float64Array, expected: readonly number[], key: string) => number,
  ): number {
    const { interpreter, model } = this.trainer
    const errors = [...model.namedParameters()].flatMap(([path, parameter]) => {
      const tensor = this.published.get(path)!
      const expected = reference[tensor.key]
      return expected
        ? [error(layout(interpreterValues(interpreter.value(parameter)), tensor), expected, tensor.key)]
        : []
    })
    if (errors.length !== Object.keys(reference).length) return Number.POSITIVE_INFINITY
    return Math.max(...errors)
  }
}

function ids(rows: Rows): BigInt64Array {
  return BigInt64Array.from(rows.flat(), BigInt)
}

function teacherOf({ teacher }: TrainStepFile): NonNullable<Batch["teacher"]> {
  const [image, text, synthetic] = [teacher.image, teacher.text, teacher.syn].map((rows) =>
    Float32Array.from(rows.flat()),
  )
  const [rows, width] = [teacher.image.length, teacher.image[0]!.length]
  const widths = widthsOfUnitParts(
    [image, text, synthetic].map((values) => ({ values: values!, rows, width, dtype: "float32" as const })),
  )
  return { image: image!, text: text!, synthetic: synthetic!, widths: widths! }
}

/** [batch, 3, imageSize, imageSize], by the file's `image_rule`. */
function trainImages(batch: number, imageSize: number): Float32Array {
  const perChannel = imageSize ** 2
  return Float32Array.from(
    { length: batch * 3 * perChannel },
    (_, i) => 0.5 + 0.25 * u("train.image", i) + 0.25 * u("train.tint", Math.floor(i / perChannel)),
  )
}

function loadFilled(model: Clip, flavour: "apple" | "openclip", logitScale: number): void {
  const shapes = new Map([...publishedTensors(model, flavour).values()].map(({ key, shape }) => [key, shape]))
  const read = (key: string) =>
    key === "logit_scale" ? Float32Array.of(logitScale) : fill(key, shapes.get(key)!).values
  loadStateDict(model, { keys: shapes.keys(), shape: (key) => shapes.get(key)!, read }, flavour, "the fill rule")
}

function interpreterValues(tensor: torch.Tensor): Float64Array {
  return torch.scope(() => torch.noGrad(() => tensor.detach().to({ dtype: "float64" }).data() as Float64Array))
}

/** Synthetic captions follow the real ones. */
function hostFeatures({ image, text, synthetic }: Features) {
  return {
    image: interpreterValues(image!),
    text: interpreterValues(synthetic ? torch.cat([text!, synthetic]) : text!),
  }
}

/** Our values in the published layout. */
function layout(values: Float64Array, tensor: PublishedTensor): Float64Array {
  if (!tensor.transposed) return values
  const [rows, columns] = tensor.shape as readonly [number, number]
  return values.map((_, i) => values[(i % columns) * rows + Math.floor(i / columns)]!)
}

function summary(values: Float64Array): number[] {
  const sum = values.reduce((total, x) => total + x, 0)
  const magnitude = values.reduce((total, x) => total + Math.abs(x), 0)
  return [sum, magnitude, Math.hypot(...values), ...values.slice(0, 4)]
}

function maxError(ours: ArrayLike<number>, reference: readonly number[]): number {
  if (ours.length !== reference.length) return Number.POSITIVE_INFINITY
  return reference.reduce((max, x, i) => Math.max(max, Math.abs(x - ours[i]!)), 0)
}
