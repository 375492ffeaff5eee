/** Scores of a model in training on the test pictures, decoded once. */
import { availableParallelism } from "node:os"
import type { Encoder } from "../../core/encoder.ts"
import type { Image8 } from "../../core/pixels.ts"
import type { Preprocessing } from "../../core/preprocess.ts"
import { Tokenizer } from "../../core/tokenizer.ts"
import { mapOrdered } from "../../data/parallel.ts"
import { chanceOf, TASKS } from "../../data/scenes/tasks.ts"
import { decodeImage } from "../../host/images.ts"
import { liveEncoder } from "../../train/live-encoder.ts"
import type { LiveModel } from "../../train/train.ts"
import type { Scores } from "../training.ts"
import { type Scene, scoreDecoded } from "./evaluation.ts"

export const guessing = TASKS.map(chanceOf).reduce((sum, chance) => sum + chance, 0) / TASKS.length

/** Gives the accuracy on every task. */
export async function openScorer(scenes: readonly Scene[]) {
  const images: Image8[] = []
  const decoded = mapOrdered(scenes, 2 * availableParallelism(), ({ jpeg }) => decodeImage(jpeg))
  for await (const image of decoded) images.push(image)
  const tokenizer = new Tokenizer()
  return async ({ model, interpreter }: Pick<LiveModel, "model" | "interpreter">, preprocessing: Preprocessing) => {
    const encoder: Encoder = liveEncoder(model, interpreter, preprocessing, tokenizer)
    const results = await scoreDecoded(encoder, scenes, images)
    return Object.fromEntries(results.map(({ name, accuracy }) => [name, accuracy])) as Scores
  }
}

export type Scorer = Awaited<ReturnType<typeof openScorer>>
