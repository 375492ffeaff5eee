/**
 * Zero-shot accuracy on CIFAR-10's test pictures by the benchmark's protocol: each class is the mean of its 18 prompts'
 * unit vectors, normalised; a picture is right when its own class is nearest.
 */
import { availableParallelism } from "node:os"
import type { Image8 } from "../../core/pixels.ts"
import type { Preprocessing } from "../../core/preprocess.ts"
import { Tokenizer } from "../../core/tokenizer.ts"
import { mapOrdered } from "../../data/parallel.ts"
import { imageVectors } from "../../evaluate/encode.ts"
import { zeroShot } from "../../evaluate/tasks.ts"
import { decodeImage } from "../../host/images.ts"
import { liveEncoder } from "../../train/live-encoder.ts"
import type { LiveModel } from "../../train/train.ts"
import type { Scores } from "../training.ts"
import { classNames, templates } from "./classes.ts"
import type { ClassPicture } from "./dataset.ts"

export const guessing = 1 / classNames.length

/** Decodes the pictures once. A score is over the first `count` of them, or all. */
export async function openScorer(pictures: readonly ClassPicture[]) {
  const images: Image8[] = []
  for await (const image of mapOrdered(pictures, 2 * availableParallelism(), ({ path }) => decodeImage(path)))
    images.push(image)
  const labels = pictures.map(({ label }) => classNames.indexOf(label))
  const tokenizer = new Tokenizer()
  return async (
    { model, interpreter }: Pick<LiveModel, "model" | "interpreter">,
    preprocessing: Preprocessing,
    count?: number,
  ) => {
    const encoder = liveEncoder(model, interpreter, preprocessing, tokenizer)
    const vectors = await imageVectors(encoder, images.slice(0, count))
    const task = { kind: "classes", name: "cifar10", classNames, templates, labels: labels.slice(0, count) } as const
    const { accuracy } = await zeroShot(encoder, task, vectors)
    return { cifar10: accuracy } satisfies Scores
  }
}

export type Scorer = Awaited<ReturnType<typeof openScorer>>
