/** Held-out pictures as a zero-shot task: find their class among all names, or their caption among all captions, and the reverse. */

import { cosines, softmax } from "../core/arrays/similarity.ts"
import { UserError } from "../core/errors.ts"
import type { Image8 } from "../core/image/pixels.ts"
import type { Preprocessing } from "../core/image/preprocess.ts"
import { resizeAndCenterCrop } from "../core/image/resize.ts"
import type { Encoder } from "../core/inference/encoder.ts"
import { mapOrdered } from "../core/parallel.ts"
import { labelVectors } from "../core/text/prompts.ts"
import { imageVectors, textVectors } from "../evaluate/encode.ts"
import { accuracyAt, meanPerClassRecall } from "../evaluate/metrics/classification.ts"
import { predictionsOf as bestClassesOf, rankOf } from "../evaluate/metrics/predictions.ts"
import type { Scores } from "../evaluate/task-list.ts"
import { decodeImage } from "../host/image/images.ts"
import type { Truncated } from "../host/image/picture-format.ts"
import { usableProcessors } from "../host/processors.ts"
import { type Classes, classesOf, type OwnPicture } from "./own-pictures.ts"

export interface Probe {
  readonly pictures: readonly OwnPicture[]
  /** The pictures as the image tower sees them, before they are normalised. */
  readonly images: readonly Image8[]
  readonly classes: Classes | null
  /** The possible answers: names of classes, or all captions. */
  readonly choices: readonly string[]
  /** Indices of the right choices, for each picture. */
  readonly truth: readonly (readonly number[])[]
  /** Scores of guessing, by task. */
  readonly chance: Scores
  /** Pictures that could not be read. */
  readonly damaged: number
  /** How many of the pictures that were read are truncated. */
  readonly cutOff: number
}

export interface ProbeResult {
  /** The scores that decide, 0 to 1. */
  readonly tasks: Scores
  /** Their mean. */
  readonly score: number
  /** All figures, including the tasks. */
  readonly figures: Scores
  /** The best choice for each picture. */
  readonly predictions: readonly Prediction[]
}

export interface Prediction {
  readonly choice: string
  readonly probability: number
  readonly isRight: boolean
}

/** Decodes the pictures, once. Throws UserError where none can be read. */
export async function openProbe(
  heldOut: readonly OwnPicture[],
  classes: Classes | null,
  preprocessing: Preprocessing,
  truncated: Truncated,
): Promise<Probe> {
  const seen: ProbePicture[] = []
  for await (const image of mapOrdered(heldOut, 2 * usableProcessors().count, (one) =>
    readPicture(one, preprocessing, truncated),
  )) {
    if (image) seen.push(image)
  }
  if (seen.length === 0) throw new UserError("none of the pictures that were held out can be read")
  const pictures = seen.map(({ picture }) => picture)
  const choices = classes ? classes.names : [...new Set(pictures.flatMap(({ captions }) => captions))]
  const choiceOf = new Map(choices.map((choice, i) => [choice, i]))
  const classOf = classes && classesOf(classes)
  const truth = pictures.map((picture) =>
    classOf ? [classOf(picture)] : picture.captions.map((caption) => choiceOf.get(caption)!),
  )
  return {
    ...{ pictures, classes, choices, truth },
    images: seen.map(({ image }) => image),
    chance: chanceOf(classes, choices.length, pictures),
    damaged: heldOut.length - seen.length,
    cutOff: seen.filter(({ isCutOff }) => isCutOff).length,
  }
}

interface ProbePicture {
  readonly picture: OwnPicture
  readonly image: Image8
  readonly isCutOff: boolean
}

async function readPicture(
  picture: OwnPicture,
  { size, interpolation }: Preprocessing,
  truncated: Truncated,
): Promise<ProbePicture | null> {
  try {
    const image = await decodeImage(picture.path, { truncated })
    return { picture, image: resizeAndCenterCrop(image, size, interpolation), isCutOff: image.isCutOff === true }
  } catch (error) {
    if (error instanceof UserError) return null
    throw error
  }
}

function chanceOf(classes: Classes | null, choices: number, pictures: readonly OwnPicture[]): Scores {
  if (classes) return { [accuracy]: 1 / choices }
  const captions = pictures.reduce((sum, picture) => sum + picture.captions.length, 0) / pictures.length
  return { [findCaption]: captions / choices, [findPicture]: 1 / pictures.length }
}

const accuracy = "accuracy"
const findCaption = "find the caption"
const findPicture = "find the picture"
const pictureAmongFive = "the picture among five"
export const meanOverClasses = "mean over classes"

/** How many a figure is a share of: pictures or captions; null where it is a mean of shares. */
export function askedIn({ pictures, choices }: Pick<Probe, "pictures" | "choices">, figure: string): number | null {
  if (figure === meanOverClasses) return null
  return figure === findPicture || figure === pictureAmongFive ? choices.length : pictures.length
}

/** @param logitScale the model's, for probabilities */
export async function scoreProbe(probe: Probe, encoder: Encoder, logitScale: number): Promise<ProbeResult> {
  const { classes, choices } = probe
  const images = await imageVectors(encoder, probe.images)
  const texts = classes ? await labelVectors(encoder, choices, classes.templates) : await textVectors(encoder, choices)
  const similarity = cosines(images, texts, encoder.embedDim)
  const figures = classes ? classFigures(probe, similarity) : captionFigures(probe, similarity)
  const tasks = Object.fromEntries(Object.keys(probe.chance).map((name) => [name, figures[name]!]))
  const scores = Object.values(tasks)
  return {
    ...{ tasks, figures },
    score: scores.reduce((sum, score) => sum + score, 0) / scores.length,
    predictions: predictionsOf(probe, softmax(similarity, choices.length, logitScale)),
  }
}

/** Figures from similarities [pictures, classes]. */
function classFigures({ choices, truth }: Probe, similarity: Float32Array): Scores {
  const labels = truth.map(([label]) => label!)
  const best = bestClassesOf(similarity, choices.length, labels)
  return {
    [accuracy]: accuracyAt(best, 1),
    ...(choices.length >= 10 && { "among the first five": accuracyAt(best, 5) }),
    [meanOverClasses]: meanPerClassRecall(best),
  }
}

/** Figures from similarities [pictures, captions]. A caption that several pictures share belongs to each of them. */
function captionFigures({ choices, truth, pictures }: Probe, similarity: Float32Array): Scores {
  const row = (picture: number) => similarity.subarray(picture * choices.length, (picture + 1) * choices.length)
  const column = (choice: number) => pictures.map((_, picture) => row(picture)[choice]!)
  const captions = truth.map((own, picture) => bestRank(row(picture), own))
  const owners = choices.map((): number[] => [])
  for (const [picture, own] of truth.entries()) for (const choice of own) owners[choice]!.push(picture)
  const found = owners.map((own, choice) => bestRank(column(choice), own))
  const share = (ranks: readonly number[], k: number) => ranks.filter((rank) => rank < k).length / ranks.length
  return {
    [findCaption]: share(captions, 1),
    [findPicture]: share(found, 1),
    ...(pictures.length >= 10 && {
      "the caption among five": share(captions, 5),
      [pictureAmongFive]: share(found, 5),
    }),
  }
}

/** The best rank of the right answers. */
function bestRank(scores: ArrayLike<number>, right: readonly number[]): number {
  const isBefore = (a: number, b: number) => scores[a]! > scores[b]! || (scores[a] === scores[b] && a < b)
  return rankOf(
    scores,
    right.reduce((best, one) => (isBefore(one, best) ? one : best)),
  )
}

function predictionsOf({ choices, truth }: Probe, probabilities: Float32Array): Prediction[] {
  return truth.map((right, picture) => {
    const row = probabilities.subarray(picture * choices.length, (picture + 1) * choices.length)
    const best = row.reduce((found, value, i) => (value > row[found]! ? i : found), 0)
    return { choice: choices[best]!, probability: row[best]!, isRight: right.includes(best) }
  })
}
