/**
 * Zero-shot tasks over image vectors. A task gets all pictures, each with a label, or null where the task does not apply,
 * so that pictures of several tasks are encoded once (`imageVectors`).
 */

import { cosines, matchRanks } from "../core/arrays/similarity.ts"
import { assert } from "../core/errors.ts"
import type { Encoder } from "../core/inference/encoder.ts"
import { labelVectors } from "../core/text/prompts.ts"
import { textVectors } from "./encode.ts"
import { accuracyAt, type Confusion, confusionOf, meanPerClassRecall } from "./metrics/classification.ts"
import { predictionsOf } from "./metrics/predictions.ts"
import { type Recall, recallAt } from "./metrics/retrieval.ts"

/** One list of classes for all pictures. */
interface ClassTask {
  readonly kind: "classes"
  readonly name: string
  readonly classNames: readonly string[]
  /** Prompts with `{}` where the class name goes. */
  readonly templates: readonly string[]
  /** Index of the right class for each image, or null. */
  readonly labels: readonly (number | null)[]
}

/** Candidate captions for each picture, the same number for all, of which one is right. */
interface CandidateTask {
  readonly kind: "candidates"
  readonly name: string
  /** The captions for each image; not read where the label is null. */
  readonly captions: readonly (readonly string[])[]
  /** Index of the right caption for each image, or null. */
  readonly labels: readonly (number | null)[]
}

export interface TaskResult {
  readonly name: string
  /** Share of images whose best class is the right one. */
  readonly accuracy: number
  /** Share of images whose right class is among the best five; null with fewer than five classes. */
  readonly accuracyAt5: number | null
  readonly meanPerClassRecall: number
  /** The accuracy of guessing, 1 / classes. */
  readonly chance: number
  readonly images: number
  readonly confusion: Confusion
}

export interface RetrievalResult {
  readonly images: number
  readonly texts: number
  readonly recallAt1: Recall
  readonly recallAt5: Recall
  readonly recallAt10: Recall
}

/** Scores `images`, unit vectors [N, embedDim], on `task`. Throws when the task applies to none of them. */
export async function zeroShot(
  encoder: Encoder,
  task: ClassTask | CandidateTask,
  images: Float32Array,
): Promise<TaskResult> {
  assert(task.labels.length * encoder.embedDim === images.length, `${task.name}: labels and images differ in number`)
  const used = task.labels.flatMap((label, image) => (label === null ? [] : [{ label, image }]))
  assert(used.length > 0, `the task "${task.name}" applies to none of the images`)
  const vectors = rows(images, encoder.embedDim, used)
  const scores =
    task.kind === "classes"
      ? cosines(vectors, await labelVectors(encoder, task.classNames, task.templates), encoder.embedDim)
      : await candidateScores(
          encoder,
          used.map(({ image }) => task.captions[image]!),
          vectors,
        )
  return score(
    task.name,
    scores,
    used.map(({ label }) => label),
  )
}

/** Recall in both directions. Text t describes image `imageOfText[t]`; `images` are unit vectors [N, embedDim]. */
export async function retrieval(
  encoder: Encoder,
  images: Float32Array,
  texts: readonly string[],
  imageOfText: readonly number[],
): Promise<RetrievalResult> {
  const ranks = matchRanks(images, await textVectors(encoder, texts), encoder.embedDim, imageOfText)
  return {
    images: images.length / encoder.embedDim,
    texts: texts.length,
    recallAt1: recallAt(ranks, 1),
    recallAt5: recallAt(ranks, 5),
    recallAt10: recallAt(ranks, 10),
  }
}

function score(name: string, scores: Float32Array, labels: readonly number[]): TaskResult {
  const classes = scores.length / labels.length
  const predictions = predictionsOf(scores, classes, labels)
  return {
    name,
    accuracy: accuracyAt(predictions, 1),
    accuracyAt5: classes < 5 ? null : accuracyAt(predictions, 5),
    meanPerClassRecall: meanPerClassRecall(predictions),
    chance: 1 / classes,
    images: labels.length,
    confusion: confusionOf(predictions),
  }
}

/** Cosines [N, choices] of each of N vectors with its own captions. */
async function candidateScores(
  encoder: Encoder,
  captions: readonly (readonly string[])[],
  vectors: Float32Array,
): Promise<Float32Array> {
  const width = encoder.embedDim
  const choices = captions[0]!.length
  assert(
    captions.every((own) => own.length === choices),
    "all pictures have equally many candidate captions",
  )
  const texts = await textVectors(encoder, captions.flat())
  const scores = captions.map((_, i) =>
    cosines(
      vectors.subarray(i * width, (i + 1) * width),
      texts.subarray(i * choices * width, (i + 1) * choices * width),
      width,
    ),
  )
  return Float32Array.from(scores.flatMap((own) => [...own]))
}

function rows(matrix: Float32Array, width: number, picked: readonly { image: number }[]): Float32Array {
  const result = new Float32Array(picked.length * width)
  picked.forEach(({ image }, i) => {
    result.set(matrix.subarray(image * width, (image + 1) * width), i * width)
  })
  return result
}
