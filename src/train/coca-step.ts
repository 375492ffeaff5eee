/**
 * A training step of a captioner. The image is encoded once, for its embedding and for the tokens the decoder reads; the
 * text once, for its embedding and for the decoder's input. N pairs, L tokens, D width, M labels.
 */
import * as torch from "../../torch/index.ts"
import { UserError } from "../core/errors.ts"
import type { Coca } from "../model/coca.ts"
import type { TorchInterpreter } from "../tensor/torch.ts"
import { type CocaLossWeights, type CocaOutputs, cocaLoss, defaultCocaWeights } from "./caption-loss.ts"
import { l2Normalize } from "./loss.ts"
import { type AdamW, clipGradNorm } from "./optimizer.ts"
import type { Batch } from "./step.ts"

export interface CaptionerTrainee {
  readonly model: Coca
  readonly interpreter: TorchInterpreter
  readonly optimizer: AdamW
}

export interface CaptionerStepConfig {
  readonly learningRate: number
  readonly gradClipNorm: number
  readonly weights?: CocaLossWeights
}

export interface CaptionerMeasurements {
  readonly loss: number
  readonly contrastive: number
  readonly caption: number
  readonly gradNorm: number
  readonly logitScale: number
}

const maxLogitScale = Math.log(100)

/** Updates the parameters once. Throws UserError when loss or gradients are not finite, before a parameter is changed. */
export function trainCaptionerStep(
  trainee: CaptionerTrainee,
  batch: Batch,
  config: CaptionerStepConfig,
): CaptionerMeasurements {
  const { model, interpreter, optimizer } = trainee
  const losses = captionerGradients(trainee, batch, config.weights)
  const gradNorm = finite("norm of the gradients", clipGradNorm(interpreter.trainable().values(), config.gradClipNorm))
  optimizer.step(config.learningRate)
  torch.noGrad(() => torch.scope(() => void interpreter.value(model.logitScale).clamp_(0, maxLogitScale)))
  return { ...losses, gradNorm }
}

/** Forward and backward: afterwards every parameter has its gradient, unclipped. */
export function captionerGradients(
  { model, interpreter, optimizer }: CaptionerTrainee,
  batch: Batch,
  weights: CocaLossWeights = defaultCocaWeights,
) {
  return torch.scope(() => {
    const scale = interpreter.value(model.logitScale).exp()
    // Backward frees what only it needs, step by step: nothing else may hold the activations by then.
    const { total, contrastive, caption } = torch.scope(() => {
      const losses = cocaLoss(cocaOutputs(model, interpreter, batch), scale, weights)
      return { ...losses }
    })
    const loss = finite("loss", total.item())
    optimizer.zeroGrad()
    total.backward()
    return { loss, contrastive: contrastive.item(), caption: caption.item(), logitScale: scale.item() }
  })
}

/**
 * Embeddings, and logits for every label that is not padding: M rows in place of N * L, which is exact, because the
 * others do not count, and several times cheaper where captions are shorter than the context. The last token is no input:
 * nothing follows it.
 */
export function cocaOutputs(model: Coca, interpreter: TorchInterpreter, { images, tokens }: Batch): CocaOutputs {
  const { imageSize, text } = model.config
  const count = tokens.length / text.contextLength
  const { embedding, tokens: patches } = model.image.forward(
    interpreter.images(images, [count, 3, imageSize, imageSize]),
  )
  const captions = model.text.encode(interpreter.tokens(tokens, [count, text.contextLength]))
  const { rows, labels, length } = labelled(tokens, text.contextLength)
  const decoded = model.decoder.decode(captions.tokens.narrow(1, 0, length), model.decoder.remember(patches))
  const { device, dtype } = interpreter
  const wide = (x: torch.Tensor) => x.to({ dtype })
  const index = torch.tensor(rows, [rows.length], { device })
  const counted = interpreter.unwrap(decoded).reshape([-1, text.width]).indexSelect(0, index)
  return {
    image: l2Normalize(wide(interpreter.unwrap(embedding))),
    text: l2Normalize(wide(interpreter.unwrap(captions.embedding))),
    logits: wide(interpreter.unwrap(model.decoder.logits(interpreter.wrap(counted)))),
    labels: torch.tensor(labels, [labels.length], { device }),
  }
}

/**
 * Which rows of [N, length] have a label, and the labels, in order; `length` is as far as the longest caption of the batch
 * goes, without its end. Captions are zero-padded rows of `contextLength` ids.
 */
export function labelled(tokens: BigInt64Array, contextLength: number) {
  const texts = Array.from({ length: tokens.length / contextLength }, (_, n) => {
    const row = tokens.subarray(n * contextLength, (n + 1) * contextLength)
    return row.subarray(1, row.findLastIndex((id) => id !== 0n) + 1)
  })
  const length = Math.max(...texts.map((labels) => labels.length))
  const rows = texts.flatMap((labels, n) => Array.from(labels, (_, i) => BigInt(n * length + i)))
  const labels = texts.flatMap((text) => [...text])
  return { rows: BigInt64Array.from(rows), labels: BigInt64Array.from(labels), length }
}

function finite(what: string, value: number): number {
  if (Number.isFinite(value)) return value
  throw new UserError(`the ${what} is ${value}`, "lower the learning rate, or look for broken pictures")
}
