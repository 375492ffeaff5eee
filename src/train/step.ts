/** One training step: forward, loss, backward, clip, update, clamp. */
import * as torch from "../../torch/index.ts"
import { UserError } from "../core/errors.ts"
import type { Clip } from "../model/clip.ts"
import type { TorchInterpreter } from "../tensor/torch.ts"
import { clipLoss, l2Normalize } from "./loss.ts"
import { type AdamW, clipGradNorm } from "./optimizer.ts"

/** N pairs: pixels [N, 3, S, S] as the tower wants them, token ids [N, contextLength], both row-major. */
export interface Batch {
  readonly images: Float32Array
  readonly tokens: BigInt64Array
}

export interface StepConfig {
  readonly learningRate: number
  readonly gradClipNorm: number
  /** Matrix products and convolutions in this type, weights and sums in float32. */
  readonly autocast?: "bfloat16"
}

export interface Measurements {
  readonly loss: number
  /** Joint norm of all gradients before clipping. */
  readonly gradNorm: number
  /** exp(logitScale) the loss was computed with. */
  readonly logitScale: number
}

/** logitScale is kept within [0, ln 100]. */
const maxLogitScale = Math.log(100)

/** Everything a step changes. */
export interface Trainee {
  readonly model: Clip
  readonly interpreter: TorchInterpreter
  readonly optimizer: AdamW
}

/** Updates the parameters once. Throws a UserError when loss or gradients are not finite, before a parameter is changed. */
export function trainStep(trainee: Trainee, batch: Batch, config: StepConfig): Measurements {
  const { loss, logitScale } = computeGradients(trainee, batch, config)
  return { loss, logitScale, gradNorm: updateParameters(trainee, config) }
}

/** Forward and backward: afterwards every parameter has its gradient, unclipped. */
export function computeGradients(trainee: Trainee, batch: Batch, { autocast }: Pick<StepConfig, "autocast"> = {}) {
  const { model, interpreter, optimizer } = trainee
  return torch.scope(() => {
    const scale = interpreter.value(model.logitScale).exp()
    // Backward frees what only it needs, step by step: nothing else may hold the activations by then.
    const forward = () => torch.scope(() => batchLoss(model, interpreter, batch, scale))
    const loss = autocast ? torch.autocast({ device: deviceKind(interpreter), dtype: autocast }, forward) : forward()
    const value = loss.item()
    if (!Number.isFinite(value)) throw notFinite("loss", value)
    optimizer.zeroGrad()
    loss.backward()
    return { loss: value, logitScale: scale.item() }
  })
}

/** Clips the gradients, updates, clamps `logitScale`; returns the gradients' joint norm before clipping. */
export function updateParameters({ model, interpreter, optimizer }: Trainee, config: StepConfig): number {
  const gradNorm = clipGradNorm(interpreter.trainable().values(), config.gradClipNorm)
  if (!Number.isFinite(gradNorm)) throw notFinite("norm of the gradients", gradNorm)
  optimizer.step(config.learningRate)
  torch.scope(() => {
    torch.noGrad(() => interpreter.value(model.logitScale).clamp_(0, maxLogitScale))
  })
  return gradNorm
}

function batchLoss(model: Clip, interpreter: TorchInterpreter, batch: Batch, scale: torch.Tensor): torch.Tensor {
  const { image, text } = encodeBatch(model, interpreter, batch)
  return clipLoss(image, text, scale)
}

/** Unit-length features of a batch, [N, embedDim] each, in float32 at least. */
export function encodeBatch(model: Clip, interpreter: TorchInterpreter, { images, tokens }: Batch) {
  const { imageSize, text } = model.config
  const count = tokens.length / text.contextLength
  const pixels = interpreter.images(images, [count, 3, imageSize, imageSize])
  const ids = interpreter.tokens(tokens, [count, text.contextLength])
  const [image, caption] = [model.encodeImage(pixels), model.encodeText(ids)].map((features) =>
    l2Normalize(interpreter.unwrap(features).to({ dtype: interpreter.dtype })),
  ) as [torch.Tensor, torch.Tensor]
  return { image, text: caption }
}

function notFinite(what: string, value: number): UserError {
  return new UserError(`the ${what} is ${value}`, "lower the learning rate, or look for broken pictures")
}

function deviceKind({ device }: TorchInterpreter): "cpu" | "cuda" {
  if (device === "mps") throw new UserError("autocast is not available on mps", "train in float32 there")
  return device === "cpu" ? "cpu" : "cuda"
}
