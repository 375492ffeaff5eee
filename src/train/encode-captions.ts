/**
 * A captioner's part of a step: embeddings for the contrastive loss, and the loss of each token of the captions. The image
 * is encoded once, for its embedding and for the tokens the decoder reads; the text once, for its embedding and for the
 * decoder's input. N pairs, L tokens, D width, M labels.
 */
import * as torch from "../../torch/index.ts"
import { Random } from "../core/random.ts"
import type { Batch } from "../data/training/batch.ts"
import type { Coca } from "../model/coca.ts"
import type { JointSegment } from "../model/layers.ts"
import type { TorchInterpreter } from "../tensor/torch.ts"
import { type Compute, computeIn } from "../tensor/torch-encoder.ts"
import { checkpointed, type Repeatable, type Step } from "./activation-checkpointing.ts"
import { sampleCandidates } from "./candidates.ts"
import { captionLoss } from "./caption-loss.ts"
import { type Encoded, type EncodeOptions, type Features, isTrained, stepsOf, unitRows } from "./encode.ts"

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
  const parts = partsOf(model, interpreter, batch, options)
  return options.activationCheckpointing ? repeatable(parts, interpreter, share) : kept(parts, share)
}

function kept({ image, text, captions }: Parts, share: number): Encoded {
  const { embeddings, caption } = torch.scope(() => {
    const [picture, patches] = run(image.steps, image.inputs)
    const [tokens, words] = run(text.steps, text.inputs)
    return { embeddings: { image: picture!, text: words! }, caption: run(captions, [tokens!, patches!])[0]! }
  })
  const local = caption.mul(share)
  return {
    features: embeddings,
    local,
    backward(gradients, lossScale) {
      const pairs = [embeddings.image.mul(gradients.image!).sum(), embeddings.text.mul(gradients.text!).sum()]
      pairs.reduce((sum, part) => sum.add(part), local.mul(lossScale)).backward()
    },
  }
}

/** The captions' part goes back first: what it says of the towers' tokens goes back through them with the embeddings'. */
function repeatable({ image, text, captions }: Parts, interpreter: TorchInterpreter, share: number): Encoded {
  const [pictures, words] = [image, text].map(({ steps, inputs }) => checkpointed(interpreter, steps, inputs)) as [
    Repeatable,
    Repeatable,
  ]
  const [picture, patches] = pictures.outputs
  const [tokens, word] = words.outputs
  const decoded = checkpointed(interpreter, captions, [tokens!, patches!], true)
  const local = decoded.outputs[0]!.mul(share)
  return {
    features: { image: picture!, text: word! },
    local,
    backward(gradients, lossScale) {
      torch.scope(() => {
        const loss = torch.full([], share * lossScale, { dtype: local.dtype, device: interpreter.device })
        const [ofTokens, ofPatches] = decoded.backward([loss])
        if (text.trained) words.backward([ofTokens, gradients.text])
        if (image.trained) pictures.backward([gradients.image, ofPatches])
      })
    },
  }
}

function run(steps: readonly Step[], inputs: readonly torch.Tensor[]): readonly torch.Tensor[] {
  return steps.reduce((parts, step) => step(parts), inputs)
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

interface Tower {
  readonly inputs: readonly torch.Tensor[]
  readonly steps: readonly Step[]
  readonly trained: boolean
}

interface Parts {
  /** To the embedding's unit rows [N, D], and the tokens that the decoder reads. */
  readonly image: Tower
  /** To the tokens that the decoder reads, and the embedding's unit rows. */
  readonly text: Tower
  /** From the tokens of captions and images to the loss, shape []. */
  readonly captions: readonly Step[]
}

function partsOf(
  model: Coca,
  interpreter: TorchInterpreter,
  { images, tokens }: Batch,
  options: CaptionOptions,
): Parts {
  const { imageSize, text } = model.config
  const count = tokens.length / text.contextLength
  const pixels = interpreter.images(images, [count, 3, imageSize, imageSize])
  const ids = interpreter.tokens(tokens, [count, text.contextLength])
  const compute = computeIn(interpreter, options.precision)
  const joint = (segment: JointSegment): Step => {
    return (inputs) => compute(() => segment(inputs.map((x) => interpreter.wrap(x)))).map((y) => interpreter.unwrap(y))
  }
  const pool = joint(([patches]) => {
    const { embedding, tokens } = model.image.pool(patches!)
    return [embedding, tokens]
  })
  const unit = (x: torch.Tensor | undefined) => unitRows(interpreter, x!)
  return {
    image: {
      inputs: [pixels.value],
      steps: [...stepsOf(interpreter, model.image.segments(), compute), pool, ([x, tokens]) => [unit(x), tokens!]],
      trained: isTrained(interpreter, model.image),
    },
    text: {
      inputs: [ids.value],
      steps: [...model.text.segments(ids).map(joint), ([tokens, x]) => [tokens!, unit(x)]],
      trained: isTrained(interpreter, model.text),
    },
    captions: captionSteps(model, interpreter, tokens, { ...options, joint, compute }),
  }
}

interface Running extends CaptionOptions {
  readonly joint: (segment: JointSegment) => Step
  readonly compute: Compute
}

/**
 * Logits are made for labels that are not padding: M rows in place of N * L, which is exact, because the others do not
 * count, and several times cheaper where captions are shorter than the context.
 */
function captionSteps(
  model: Coca,
  interpreter: TorchInterpreter,
  tokens: BigInt64Array,
  { joint, compute, sampledWords }: Running,
): Step[] {
  const { contextLength, width } = model.config.text
  const { rows, labels, length } = labelled(tokens, contextLength)
  const index = idsOn(interpreter, rows)
  const loss = (decoded: torch.Tensor) => {
    const words = compute(() => {
      const counted = decoded.reshape([-1, width]).indexSelect(0, index)
      return wordLogits(model, interpreter, counted, labels, sampledWords)
    })
    const { dtype } = interpreter
    return captionLoss(words.logits.to({ dtype }), idsOn(interpreter, words.labels), noLabel)
  }
  return [
    joint(([x, image]) => [x!.narrow(1, 0, length), image!]),
    ...model.decoder.segments().map(joint),
    ([decoded]) => [loss(decoded!)],
  ]
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
