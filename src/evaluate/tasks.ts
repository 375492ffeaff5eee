/**
 * Zero-shot tasks over image vectors. A task gets all pictures, each with a label, or null where the task does not apply,
 * so that pictures of several tasks are encoded once (`imageVectors`).
 */

import { concatenate } from "../core/arrays/concatenate.ts"
import { cosines, matchRanksInTurns } from "../core/arrays/similarity.ts"
import { assert } from "../core/errors.ts"
import type { Image8 } from "../core/image/pixels.ts"
import type { Encoder } from "../core/inference/encoder.ts"
import { labelVectors } from "../core/text/prompts.ts"
import { nextTurn } from "../core/turns.ts"
import { textVectors, vectorBatches, vectorsByText } from "./encode.ts"
import { accuracyAt, type Confusion, confusionOf, meanPerClassRecall } from "./metrics/classification.ts"
import { PredictionCollector, type Predictions } from "./metrics/predictions.ts"
import { type Recall, recallAt } from "./metrics/retrieval.ts"

/** One list of classes for all pictures. */
interface ClassTask<Label = number | null> {
  readonly kind: "classes"
  readonly name: string
  readonly classNames: readonly string[]
  /** Prompts with `{}` where the class name goes. */
  readonly templates: readonly string[]
  /** Index of the right class for each image, or null. */
  readonly labels: readonly Label[]
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
  const scores = task.kind === "classes" ? await classScores(encoder, task) : await candidateScores(encoder, task)
  const collector = new PredictionCollector(scores.choices)
  for (let from = 0; from < used.length; from += rowsAtOnce) {
    const block = used.slice(from, from + rowsAtOnce)
    collector.add(
      scores.of(rows(images, encoder.embedDim, block), block),
      block.map(({ label }) => label),
    )
    await nextTurn()
  }
  return resultOf(task.name, collector.result())
}

/**
 * The best classes of pictures as they come; nothing else is kept of a picture.
 *
 * @param images as many as there are labels
 */
export async function classify(
  encoder: Encoder,
  { name, classNames, templates, labels }: Omit<ClassTask<number>, "kind">,
  images: AsyncIterable<Image8>,
): Promise<Predictions> {
  const classes = await labelVectors(encoder, classNames, templates)
  const collector = new PredictionCollector(classNames.length)
  let done = 0
  for await (const vectors of vectorBatches(encoder, images)) {
    const from = done
    done += vectors.length / encoder.embedDim
    collector.add(cosines(vectors, classes, encoder.embedDim), labels.slice(from, done))
  }
  assert(done === labels.length, `${name}: ${labels.length} labels for ${done} pictures`)
  return collector.result()
}

/** Recall in both directions. Text t describes image `imageOfText[t]`; `images` are unit vectors [N, embedDim]. */
export async function retrieval(
  encoder: Encoder,
  images: Float32Array,
  texts: readonly string[],
  imageOfText: readonly number[],
): Promise<RetrievalResult> {
  const vectors = await textVectors(encoder, texts)
  const ranks = await matchRanksInTurns(images, vectors, encoder.embedDim, imageOfText)
  return {
    images: images.length / encoder.embedDim,
    texts: texts.length,
    recallAt1: recallAt(ranks, 1),
    recallAt5: recallAt(ranks, 5),
    recallAt10: recallAt(ranks, 10),
  }
}

function resultOf(name: string, predictions: Predictions): TaskResult {
  const { classes, labels } = predictions
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

/** Pictures whose scores exist at the same time. */
const rowsAtOnce = 256

/** A picture that the task applies to. */
interface Used {
  readonly image: number
  readonly label: number
}

interface BlockScores {
  readonly choices: number
  /** Cosines [n, choices] of the vectors of n pictures. */
  of(vectors: Float32Array, pictures: readonly Used[]): Float32Array
}

async function classScores(encoder: Encoder, { classNames, templates }: ClassTask): Promise<BlockScores> {
  const classes = await labelVectors(encoder, classNames, templates)
  return { choices: classNames.length, of: (vectors) => cosines(vectors, classes, encoder.embedDim) }
}

/** Each picture with its own captions. */
async function candidateScores(encoder: Encoder, { captions, labels }: CandidateTask): Promise<BlockScores> {
  const width = encoder.embedDim
  const used = captions.filter((_, image) => labels[image] !== null)
  const choices = used[0]!.length
  assert(
    used.every((own) => own.length === choices),
    "all pictures have equally many candidate captions",
  )
  const texts = await vectorsByText(encoder, used.flat())
  const own = (vectors: Float32Array, { image }: Used, i: number) =>
    cosines(vectors.subarray(i * width, (i + 1) * width), rowsOf(texts, captions[image]!), width)
  return { choices, of: (vectors, pictures) => concatenate(pictures.map((picture, i) => own(vectors, picture, i))) }
}

function rowsOf(vectors: ReadonlyMap<string, Float32Array>, texts: readonly string[]): Float32Array {
  return concatenate(texts.map((text) => vectors.get(text)!))
}

function rows(matrix: Float32Array, width: number, picked: readonly Used[]): Float32Array {
  const result = new Float32Array(picked.length * width)
  picked.forEach(({ image }, i) => {
    result.set(matrix.subarray(image * width, (image + 1) * width), i * width)
  })
  return result
}
