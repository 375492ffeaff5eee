/**
 * A training step of a captioner. The image is encoded once, for its embedding and for the tokens the decoder reads; the
 * text once, for its embedding and for the decoder's input. N pairs, L tokens, D width, M labels.
 */
import * as torch from "../../torch/index.ts"
import { UserError } from "../core/errors.ts"
import { Random } from "../core/random.ts"
import type { Coca } from "../model/coca.ts"
import type { Tensor } from "../tensor/tensor.ts"
import type { TorchInterpreter } from "../tensor/torch.ts"
import { type Candidates, sampleCandidates } from "./candidates.ts"
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
  /** Words beside those of the batch in the softmax over the vocabulary, see `candidates.ts`; absent: all, exactly. */
  readonly negatives?: number
  /** Of what is drawn in this step. */
  readonly seed?: number
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
  const losses = captionerGradients(trainee, batch, config)
  const gradNorm = finite("norm of the gradients", clipGradNorm(interpreter.trainable().values(), config.gradClipNorm))
  optimizer.step(config.learningRate)
  torch.noGrad(() => torch.scope(() => void interpreter.value(model.logitScale).clamp_(0, maxLogitScale)))
  return { ...losses, gradNorm }
}

/** Forward and backward: afterwards every parameter has its gradient, unclipped. */
export function captionerGradients(
  { model, interpreter, optimizer }: CaptionerTrainee,
  batch: Batch,
  { weights = defaultCocaWeights, ...words }: Pick<CaptionerStepConfig, "weights" | "negatives" | "seed"> = {},
) {
  return torch.scope(() => {
    const scale = interpreter.value(model.logitScale).exp()
    // Backward frees what only it needs, step by step: nothing else may hold the activations by then.
    const { total, contrastive, caption } = torch.scope(() => {
      return cocaLoss(cocaOutputs(model, interpreter, batch, words), scale, weights, noLabel)
    })
    const loss = finite("loss", total.item())
    optimizer.zeroGrad()
    total.backward()
    return { loss, contrastive: contrastive.item(), caption: caption.item(), logitScale: scale.item() }
  })
}

/** Labels are found before the loss, so that none is ignored there: with candidates, 0 is a place like any other. */
const noLabel = -100

/**
 * Embeddings, and logits for every label that is not padding: M rows in place of N * L, which is exact, because the
 * others do not count, and several times cheaper where captions are shorter than the context. The last token is no input:
 * nothing follows it.
 */
export function cocaOutputs(
  model: Coca,
  interpreter: TorchInterpreter,
  { images, tokens }: Batch,
  { negatives, seed = 0 }: Pick<CaptionerStepConfig, "negatives" | "seed"> = {},
): CocaOutputs {
  const { imageSize, text } = model.config
  const count = tokens.length / text.contextLength
  const image = model.image.forward(interpreter.images(images, [count, 3, imageSize, imageSize]))
  const caption = model.text.encode(interpreter.tokens(tokens, [count, text.contextLength]))
  const { rows, labels, length } = labelled(tokens, text.contextLength)
  const decoded = model.decoder.decode(caption.tokens.narrow(1, 0, length), model.decoder.remember(image.tokens))
  const counted = interpreter.unwrap(decoded).reshape([-1, text.width]).indexSelect(0, idsOn(interpreter, rows))
  const embedding = (tensor: Tensor) => l2Normalize(wide(interpreter, tensor))
  const words =
    negatives === undefined
      ? {
          logits: wide(interpreter, model.decoder.logits(interpreter.wrap(counted))),
          labels: idsOn(interpreter, labels),
        }
      : candidateLogits(
          model,
          interpreter,
          counted,
          sampleCandidates(labels, text.vocabSize, negatives, Random.of(seed, "words")),
        )
  return { image: embedding(image.embedding), text: embedding(caption.embedding), ...words }
}

/** Logits [M, C] of the candidates only. */
function candidateLogits(
  model: Coca,
  interpreter: TorchInterpreter,
  decoded: torch.Tensor,
  { ids, offsets, labels }: Candidates,
) {
  const { device, dtype } = interpreter
  const normed = interpreter.unwrap(model.decoder.finalNorm.forward(interpreter.wrap(decoded)))
  const columns = interpreter.value(model.decoder.projection).indexSelect(1, idsOn(interpreter, ids))
  const logits = normed.matmul(columns).to({ dtype })
  return {
    logits: logits.add(torch.tensor(offsets, [offsets.length], { dtype, device })),
    labels: idsOn(interpreter, labels),
  }
}

function idsOn({ device }: TorchInterpreter, ids: BigInt64Array): torch.Tensor {
  return torch.tensor(ids, [ids.length], { device })
}

/** Losses are computed in the interpreter's type, whatever autocast made of the model. */
function wide(interpreter: TorchInterpreter, tensor: Tensor): torch.Tensor {
  return interpreter.unwrap(tensor).to({ dtype: interpreter.dtype })
}

/**
 * Which rows of [N, length] have a label, and the labels, in order; `length` is as far as the longest caption of the batch
 * goes, without its end. Captions are zero-padded rows of `contextLength` ids; a 0 within one is padding too, as in
 * open_clip.
 */
export function labelled(tokens: BigInt64Array, contextLength: number) {
  const texts = Array.from({ length: tokens.length / contextLength }, (_, n) =>
    tokens.subarray(n * contextLength + 1, (n + 1) * contextLength),
  )
  const length = Math.max(...texts.map((labels) => labels.findLastIndex((id) => id !== 0n) + 1))
  const rows = texts.flatMap((labels, n) => [...labels].flatMap((id, i) => (id === 0n ? [] : [BigInt(n * length + i)])))
  const labels = texts.flatMap((text) => [...text].filter((id) => id !== 0n))
  return { rows: BigInt64Array.from(rows), labels: BigInt64Array.from(labels), length }
}

function finite(what: string, value: number): number {
  if (Number.isFinite(value)) return value
  throw new UserError(`the ${what} is ${value}`, "lower the learning rate, or look for broken pictures")
}
