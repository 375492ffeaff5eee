/** Zero-shot classification in the shape of transformers.js, for programs that were written for it. */
import { requireTexts } from "../core/arguments.ts"
import { oneLine, UserError } from "../core/errors.ts"
import type { Abortable } from "../core/inference/encoder.ts"
import type { ClipModel } from "./clip.ts"

export const pipelineTask = "zero-shot-image-classification"

export interface PipelineOptions extends Abortable {
  /** What each label is put into, in place of `{}` (default: "This is a photo of {}"). */
  readonly hypothesis_template?: string | undefined
}

export interface PipelineScore {
  /** Probability among the labels. */
  readonly score: number
  readonly label: string
}

/** One picture gives its labels, the best first; a list of pictures gives a list of these. */
export interface ZeroShotPipeline<Picture> {
  (picture: Picture, labels: readonly string[], options?: PipelineOptions): Promise<PipelineScore[]>
  (pictures: readonly Picture[], labels: readonly string[], options?: PipelineOptions): Promise<PipelineScore[][]>
  dispose(): Promise<void>
}

/** Throws UserError for a task of transformers.js that is another one. */
export function requireTask(task: unknown): void {
  if (task === pipelineTask) return
  throw new UserError(`there is no pipeline for ${oneLine(String(task))}`, `"${pipelineTask}" is the one`)
}

export function zeroShotPipeline<Picture>(clip: ClipModel<Picture>): ZeroShotPipeline<Picture> {
  const scoresOf = async (
    pictures: readonly Picture[],
    labels: readonly string[],
    { hypothesis_template = "This is a photo of {}", signal }: PipelineOptions,
  ) => {
    requireTexts([hypothesis_template], "hypothesis_template", 'write "This is a photo of {}"')
    const found = await clip.classify(pictures, labels, { templates: [hypothesis_template], signal })
    return found.map((scores) => scores.map(({ score, label }) => ({ score, label })))
  }
  const classify = async (
    pictures: Picture | readonly Picture[],
    labels: readonly string[],
    options: PipelineOptions = {},
  ) => {
    if (Array.isArray(pictures)) return scoresOf(pictures, labels, options)
    const [scores] = await scoresOf([pictures as Picture], labels, options)
    return scores!
  }
  return Object.assign(classify, { dispose: () => clip.dispose() }) as ZeroShotPipeline<Picture>
}
