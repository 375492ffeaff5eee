/** Which caption belongs to which picture of an instance (SugarCrepe, Winoground), as CLIP_benchmark scores it. */
import type { Metrics } from "./metrics.ts"
import { topK } from "./predictions.ts"

export interface CaptionAnswer {
  /** Every caption that has a picture finds it. */
  readonly image: boolean
  /** Every picture finds its caption. */
  readonly text: boolean
}

/** From scores [images, captions] of one instance, where caption i belongs to image i, and further captions are wrong. */
export function captionAnswer(scores: Float32Array, captions: number): CaptionAnswer {
  const images = scores.length / captions
  const pairs = [...Array(Math.min(images, captions)).keys()]
  const captionOfImage = topK(scores, captions, 1)
  const column = (caption: number) =>
    Float32Array.from({ length: images }, (_, image) => scores[image * captions + caption]!)
  return {
    image: pairs.every((i) => topK(column(i), images, 1)[0] === i),
    text: pairs.every((i) => captionOfImage[i] === i),
  }
}

/** Shares of the instances that are right. With one picture an instance, image_acc is 1. */
export function captionSelectionMetrics(answers: readonly CaptionAnswer[]): Metrics {
  const share = (isRight: (answer: CaptionAnswer) => boolean) => answers.filter(isRight).length / answers.length
  return {
    image_acc: share(({ image }) => image),
    text_acc: share(({ text }) => text),
    acc: share(({ image, text }) => image && text),
  }
}
