/**
 * A captioner's part of a step: embeddings for the contrastive loss, and the loss of each token of the captions. The image
 * is encoded once, for its embedding and for the tokens the decoder reads; the text once, for its embedding and for the
 * decoder's input. N pairs, L tokens, D width, M labels.
 */
import * as torch from "../../torch/index.ts"
import { Random } from "../core/arrays/random.ts"
import type { Batch } from "../data/training/batch.ts"
import type { Coca } from "../model/coca.ts"
import type { JointSegment } from "../model/layers.ts"
import type { Tensor } from "../tensor/tensor.ts"
import type { TorchInterpreter, TorchTensor } from "../tensor/torch.ts"
import { type Compute, computeIn } from "../tensor/torch-encoder.ts"
import { checkpointed, type Repeatable, type Step } from "./activation-checkpointing.ts"
import { captionLoss, sampleCandidates } from "./caption-loss.ts"
import {
  type Encoded,
  type EncodeOptions,
  type Encoder,
  type Features,
  isTrained,
  type PlacedBatch,
  placeBatch,
  stepsOf,
  unitRows,
} from "./encode.ts"

interface CaptionOptions extends EncodeOptions {
  /** The weight of the captions' loss, which is the mean over the batch's labels. */
  readonly captionWeight: number
  /** The number of labels in the batch. */
  readonly labels: number
  /** Words besides those that occur over which the softmax is estimated; absent: all, exactly. */
  readonly sampledWords?: number
}

/** The encoder of a captioner. The chunk's own part of the loss is that of its captions. */
export function captionEncoder(model: Coca, interpreter: TorchInterpreter, options: CaptionOptions): Encoder {
  return (chunk) => {
    const encode = () => {
      const parts = partsOf(model, interpreter, chunk, options)
      // The part of the batch's mean that is this chunk's.
      const share = countLabels(chunk.tokens, model.config.text.contextLength) / options.labels
      const weight = options.captionWeight * share
      return options.activationCheckpointing ? repeatable(parts, interpreter, weight) : kept(parts, weight)
    }
    return {
      encode,
      features: () => embeddings(model, interpreter, chunk, options),
      backward: (gradients, lossScale) => encode().backward(gradients, lossScale),
    }
  }
}

function kept({ image, text, captions }: Parts, weight: number): Encoded {
  const { features, caption } = torch.scope(() => {
    const [picture, patches] = run(image.steps, image.inputs)
    const [tokens, words] = run(text.steps, text.inputs)
    return { features: { image: picture!, text: words! }, caption: run(captions, [tokens!, patches!])[0]! }
  })
  const loss = caption.mul(weight)
  return {
    features,
    backward(gradients, lossScale) {
      const pairs = [features.image.mul(gradients.image!).sum(), features.text.mul(gradients.text!).sum()]
      pairs.reduce((sum, part) => sum.add(part), loss.mul(lossScale)).backward()
      return loss.item()
    },
  }
}

/** The backward pass of the captions comes first: the gradients of the tokens go through the towers with the embeddings'. */
function repeatable({ image, text, captions }: Parts, interpreter: TorchInterpreter, weight: number): Encoded {
  const [pictures, words] = [image, text].map(({ steps, inputs }) => checkpointed(interpreter, steps, inputs)) as [
    Repeatable,
    Repeatable,
  ]
  const [picture, patches] = pictures.outputs
  const [tokens, word] = words.outputs
  const decoded = checkpointed(interpreter, captions, [tokens!, patches!], true)
  const loss = decoded.outputs[0]!.mul(weight)
  return {
    features: { image: picture!, text: word! },
    backward(gradients, lossScale) {
      torch.scope(() => {
        const gradient = torch.full([], weight * lossScale, { dtype: loss.dtype, device: interpreter.device })
        const [ofTokens, ofPatches] = decoded.backward([gradient])
        if (text.trained) words.backward([ofTokens, gradients.text])
        if (image.trained) pictures.backward([gradients.image, ofPatches])
      })
      return loss.item()
    },
  }
}

function run(steps: readonly Step[], inputs: readonly torch.Tensor[]): readonly torch.Tensor[] {
  return steps.reduce((parts, step) => step(parts), inputs)
}

function embeddings(model: Coca, interpreter: TorchInterpreter, chunk: Batch, { precision }: EncodeOptions): Features {
  const { pixels, seen, ids } = placed(model, interpreter, chunk)
  const unit = (x: Tensor) => unitRows(interpreter, interpreter.unwrap(x))
  const compute = computeIn(interpreter, precision)
  return torch.noGrad(() =>
    compute(() => ({
      image: unit(model.encodeImage(pixels)),
      text: unit(model.text.encode(seen, ids).embedding),
    })),
  )
}

/**
 * Synthetic captions are left out: a captioner has no use for them. `seen` are the columns of `ids` that count: the class
 * token's row sees one column of padding after its text.
 */
function placed(
  model: Coca,
  interpreter: TorchInterpreter,
  { images, tokens }: Batch,
): PlacedBatch & { readonly seen: TorchTensor } {
  const { contextLength } = model.config.text
  const batch = placeBatch(model, interpreter, { images, tokens })
  const longest = Math.max(...labelsOf(tokens, contextLength).map((labels) => labels.length))
  const columns = Math.min(longest + 2, contextLength)
  return { ...batch, seen: interpreter.wrap(batch.ids.value.narrow(1, 0, columns)) }
}

/** Labels of these captions: every token but the first. */
export function countLabels(tokens: BigInt64Array, contextLength: number): number {
  return labelsOf(tokens, contextLength).reduce((count, labels) => count + labels.length, 0)
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

function partsOf(model: Coca, interpreter: TorchInterpreter, chunk: Batch, options: CaptionOptions): Parts {
  const { pixels, seen, ids } = placed(model, interpreter, chunk)
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
      inputs: [seen.value],
      steps: [...model.text.segments(seen, ids).map(joint), ([tokens, x]) => [tokens!, unit(x)]],
      trained: isTrained(interpreter, model.text),
    },
    captions: captionSteps(model, interpreter, chunk.tokens, { ...options, joint, compute }),
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

/** The labels of each caption: its tokens after the first. Captions are zero-padded rows of `contextLength` ids. */
function labelsOf(tokens: BigInt64Array, contextLength: number): BigInt64Array[] {
  return Array.from({ length: tokens.length / contextLength }, (_, n) => {
    const row = tokens.subarray(n * contextLength, (n + 1) * contextLength)
    return row.subarray(1, row.findLastIndex((id) => id !== 0n) + 1)
  })
}

/**
 * Which rows of [N, length] have a label, and the labels, in order; `length` is as far as the longest caption of the batch
 * goes, without its end.
 */
function labelled(tokens: BigInt64Array, contextLength: number) {
  const texts = labelsOf(tokens, contextLength)
  const length = Math.max(...texts.map((labels) => labels.length))
  const rows = texts.flatMap((labels, n) => Array.from(labels, (_, i) => BigInt(n * length + i)))
  const labels = texts.flatMap((text) => [...text])
  return { rows: BigInt64Array.from(rows), labels: BigInt64Array.from(labels), length }
}
