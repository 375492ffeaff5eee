/**
 * CoCa's captioning loss: each token of the caption from the image and the tokens before it. Paper: arXiv 2205.01917.
 *
 * Its softmax over a large vocabulary may be estimated: over the words that occur and an even sample of the others, each of
 * which stands for as many as it was drawn from. The sum has the full one's expectation. (Sampled softmax, Jean et al.
 * 2015, https://arxiv.org/abs/1412.2007; the sample here is systematic.) What is trained is the same model.
 */
import * as torch from "../../torch/index.ts"
import type { Random } from "../core/arrays/random.ts"

/**
 * The mean cross entropy of the labels that are not padding.
 *
 * @param logits [..., vocabSize]
 * @param labels token ids, int64 [...]
 * @param padId the label that is ignored; where all labels are padding the loss is NaN
 * @returns shape []
 */
export function captionLoss(logits: torch.Tensor, labels: torch.Tensor, padId: number): torch.Tensor {
  const vocabSize = logits.shape.at(-1)!
  return crossEntropy(logits.reshape([-1, vocabSize]), labels.reshape([-1]), null, reduceByMean, padId, 0)
}

const reduceByMean = 1

const crossEntropy = torch.operator<
  [torch.Tensor, torch.Tensor, weight: null, reduction: number, ignoreIndex: number, labelSmoothing: number],
  torch.Tensor
>("cross_entropy_loss")

interface Candidates {
  /** Ids of the vocabulary without repeats, those that occur first, [C]. */
  readonly ids: BigInt64Array
  /** What is added to their logits: the logarithm of the number of words that each stands for, [C]. */
  readonly offsets: Float32Array
  /** The labels as indices into `ids`. */
  readonly labels: BigInt64Array
}

/** The words in `labels` and about `negatives` others; all words, exactly, where the vocabulary is not larger than that. */
export function sampleCandidates(
  labels: BigInt64Array,
  vocabSize: number,
  negatives: number,
  random: Random,
): Candidates {
  const places = new Map<bigint, bigint>()
  for (const label of labels) if (!places.has(label)) places.set(label, BigInt(places.size))
  const draws = Math.min(negatives, vocabSize)
  const stride = vocabSize / draws
  const start = random.uniform(0, stride)
  const drawn = Array.from({ length: draws }, (_, i) => BigInt(Math.floor(start + i * stride)))
  const others = drawn.filter((id) => id < vocabSize && !places.has(id))
  const offsets = new Float32Array(places.size + others.length).fill(Math.log(stride), places.size)
  return {
    ids: BigInt64Array.from([...places.keys(), ...others]),
    offsets,
    labels: BigInt64Array.from(labels, (label) => places.get(label)!),
  }
}
