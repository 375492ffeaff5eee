/**
 * A captioner's part of a step: embeddings for the contrastive loss, and the loss of each token of the captions. The image
 * is encoded once, for its embedding and for the tokens the decoder reads; the text once, for its embedding and for the
 * decoder's input. N pairs, L tokens, D width, M labels.
 */
import * as torch from "../../torch/index.ts"
import { Random } from "../core/random.ts"
import type { Batch } from "../data/training/batch.ts"
import type { Coca } from "../model/coca.ts"
import type { TorchInterpreter } from "../tensor/torch.ts"
import { sampleCandidates } from "./candidates.ts"
import { captionLoss } from "./caption-loss.ts"
import { computeIn, type Encoded, type EncodeOptions, type Features, unitRows } from "./encode.ts"

export interface CaptionOptions extends EncodeOptions {
  /** Words besides those that occur over which the softmax is estimated; absent: all, exactly. */
  readonly sampledWords?: number
}

/** Encodes with gradients. `share` is what the mean over this chunk's labels counts in the batch's caption loss. */
export function encodeCaptions(
  model: Coca,
  interpreter: TorchInterpreter,
  batch: Batch,
  share: number,
  options: CaptionOptions = {},
): Encoded {
  const { image, text, caption } = torch.scope(() => outputs(model, interpreter, batch, options))
  const local = caption.mul(share)
  return {
    features: { image, text },
    local,
    backward(gradients, lossScale) {
      const parts = [image.mul(gradients.image!).sum(), text.mul(gradients.text!).sum()]
      parts.reduce((sum, part) => sum.add(part), local.mul(lossScale)).backward()
    },
  }
}

/** Embeddings alone. */
export function captionerFeatures(
  model: Coca,
  interpreter: TorchInterpreter,
  { images, tokens }: Batch,
  options: EncodeOptions = {},
): Features {
  const { imageSize, text } = model.config
  const count = tokens.length / text.contextLength
  return torch.noGrad(() =>
    computeIn(
      interpreter,
      options.precision,
    )(() => ({
      image: unitRows(
        interpreter,
        interpreter.unwrap(model.encodeImage(interpreter.images(images, [count, 3, imageSize, imageSize]))),
      ),
      text: unitRows(
        interpreter,
        interpreter.unwrap(model.encodeText(interpreter.tokens(tokens, [count, text.contextLength]))),
      ),
    })),
  )
}

/** Labels of these captions: every token but the first. */
export function countLabels(tokens: BigInt64Array, contextLength: number): number {
  return labelled(tokens, contextLength).labels.length
}

/**
 * Logits are made for labels that are not padding: M rows in place of N * L, which is exact, because the others do not
 * count, and several times cheaper where captions are shorter than the context.
 */
function outputs(
  model: Coca,
  interpreter: TorchInterpreter,
  { images, tokens }: Batch,
  { precision, sampledWords }: CaptionOptions,
) {
  const { imageSize, text } = model.config
  const count = tokens.length / text.contextLength
  const { rows, labels, length } = labelled(tokens, text.contextLength)
  const { dtype } = interpreter
  const index = idsOn(interpreter, rows)
  const pixels = interpreter.images(images, [count, 3, imageSize, imageSize])
  const ids = interpreter.tokens(tokens, [count, text.contextLength])
  const encoded = computeIn(
    interpreter,
    precision,
  )(() => {
    const { embedding, tokens: patches } = model.image.forward(pixels)
    const captions = model.text.encode(ids)
    const decoded = model.decoder.decode(captions.tokens.narrow(1, 0, length), model.decoder.remember(patches))
    const counted = interpreter.unwrap(decoded).reshape([-1, text.width]).indexSelect(0, index)
    const words = wordLogits(model, interpreter, counted, labels, sampledWords)
    return { embedding, caption: captions.embedding, ...words }
  })
  return {
    image: unitRows(interpreter, interpreter.unwrap(encoded.embedding)),
    text: unitRows(interpreter, interpreter.unwrap(encoded.caption)),
    caption: captionLoss(encoded.logits.to({ dtype }), idsOn(interpreter, encoded.labels), noLabel),
  }
}

/** Labels are found before the loss, so that none is ignored there: among candidates, 0 is a place like any other. */
const noLabel = -100

/** Logits [M, vocabSize], or of candidates only, [M, C], with the labels as places among them. */
function wordLogits(
  model: Coca,
  interpreter: TorchInterpreter,
  decoded: torch.Tensor,
  labels: BigInt64Array,
  sampledWords: number | undefined,
): { readonly logits: torch.Tensor; readonly labels: BigInt64Array } {
  const { decoder, config } = model
  const rows = interpreter.wrap(decoded)
  if (sampledWords === undefined) return { logits: interpreter.unwrap(decoder.logits(rows)), labels }
  // The sample is a function of the batch, so a repeated or resumed step has the same.
  const seed = Number(labels.reduce((sum, id, i) => sum + id * BigInt(i + 1), 0n) % 2n ** 32n)
  const random = Random.of(seed, "words")
  const { ids, offsets, labels: places } = sampleCandidates(labels, config.text.vocabSize, sampledWords, random)
  const columns = interpreter.value(decoder.projection).indexSelect(1, idsOn(interpreter, ids))
  const logits = interpreter.unwrap(decoder.finalNorm.forward(rows)).matmul(columns)
  return {
    logits: logits.add(
      torch.tensor(offsets, [offsets.length], { dtype: interpreter.dtype, device: interpreter.device }),
    ),
    labels: places,
  }
}

function idsOn({ device }: TorchInterpreter, ids: BigInt64Array): torch.Tensor {
  return torch.tensor(ids, [ids.length], { device })
}

/**
 * Which rows of [N, length] have a label, and the labels, in order; `length` is as far as the longest caption of the batch
 * goes, without its end. Captions are zero-padded rows of `contextLength` ids.
 */
function labelled(tokens: BigInt64Array, contextLength: number) {
  const texts = Array.from({ length: tokens.length / contextLength }, (_, n) => {
    const row = tokens.subarray(n * contextLength, (n + 1) * contextLength)
    return row.subarray(1, row.findLastIndex((id) => id !== 0n) + 1)
  })
  const length = Math.max(...texts.map((labels) => labels.length))
  const rows = texts.flatMap((labels, n) => Array.from(labels, (_, i) => BigInt(n * length + i)))
  const labels = texts.flatMap((text) => [...text])
  return { rows: BigInt64Array.from(rows), labels: BigInt64Array.from(labels), length }
}
