/**
 * A captioner's part of a step: embeddings for the contrastive loss, and the loss of each token of the captions. The image
 * is encoded once, for its embedding and for the tokens the decoder reads; the text once, for its embedding and for the
 * decoder's input. N pairs, L tokens, D width, M labels.
 */
import * as torch from "../../torch/index.ts"
import type { Batch } from "../data/training/batch.ts"
import type { Coca } from "../model/coca.ts"
import type { TorchInterpreter } from "../tensor/torch.ts"
import { captionLoss } from "./caption-loss.ts"
import { computeIn, type Encoded, type EncodeOptions, type Features, unitRows } from "./encode.ts"

/** Encodes with gradients. `share` is what the mean over this chunk's labels counts in the batch's caption loss. */
export function encodeCaptions(
  model: Coca,
  interpreter: TorchInterpreter,
  batch: Batch,
  share: number,
  options: EncodeOptions = {},
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
function outputs(model: Coca, interpreter: TorchInterpreter, { images, tokens }: Batch, { precision }: EncodeOptions) {
  const { imageSize, text } = model.config
  const count = tokens.length / text.contextLength
  const { rows, labels, length } = labelled(tokens, text.contextLength)
  const { device, dtype } = interpreter
  const index = torch.tensor(rows, [rows.length], { device })
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
    return { embedding, caption: captions.embedding, logits: model.decoder.logits(interpreter.wrap(counted)) }
  })
  const logits = interpreter.unwrap(encoded.logits).to({ dtype })
  return {
    image: unitRows(interpreter, interpreter.unwrap(encoded.embedding)),
    text: unitRows(interpreter, interpreter.unwrap(encoded.caption)),
    caption: captionLoss(logits, torch.tensor(labels, [labels.length], { device }), padId),
  }
}

const padId = 0

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
