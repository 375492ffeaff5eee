/** Files of pictures to their labels by one or several models: each is decoded once, and results come as they are made. */
import { kindOf, requireList, requireMethods } from "../core/arguments.ts"
import { concatenate } from "../core/arrays/concatenate.ts"
import { l2Normalize } from "../core/arrays/similarity.ts"
import { UserError } from "../core/errors.ts"
import { type EncodedFile, type EncodeFilesOptions, encodeFiles, type PixelEncoder } from "../pictures/encode-files.ts"
import type { LabelVectors } from "../run/labels/label-vectors.ts"
import { type LabelScore, rankLabels } from "../run/labels/rank-labels.ts"

export interface FileClassifier {
  /** What results call it. */
  readonly model: string
  readonly encoder: PixelEncoder
  /** Made by the same model. */
  readonly labels: LabelVectors
}

export interface ModelLabels {
  readonly model: string
  /** The best first. */
  readonly labels: readonly LabelScore[]
}

export type ClassifiedFile = { readonly image: string } & (
  | {
      /** One for each classifier. */
      readonly results: readonly ModelLabels[]
    }
  | { readonly error: UserError }
)

export interface ClassifyFilesOptions extends EncodeFilesOptions {
  /** How many labels each picture gets, the best ones (default: all). */
  readonly top?: number
}

/**
 * In the order of the files. One that cannot be decoded gives the reason, and the others go on.
 *
 * @throws UserError for arguments of another type
 */
export async function* classifyFiles(
  files: Iterable<string> | AsyncIterable<string>,
  classifiers: readonly FileClassifier[],
  { top, ...options }: ClassifyFilesOptions = {},
): AsyncGenerator<ClassifiedFile> {
  requireClassifiers(files, classifiers)
  const encoders = classifiers.map(({ encoder }) => encoder)
  const batches = encodeFiles(files, encoders, options)
  for await (const batch of gathered(batches, picturesAtOnce(classifiers))) yield* ranked(batch, classifiers, top)
}

/** Each comparison copies the labels' vectors; where these are very many, that takes longer than the picture. */
function picturesAtOnce(classifiers: readonly FileClassifier[]): number {
  return classifiers.some(({ labels }) => labels.labels.length > 5000) ? 16 : 1
}

/** The same in batches of `least` or more, but for the last one. */
async function* gathered<T>(batches: AsyncIterable<readonly T[]>, least: number): AsyncGenerator<T[]> {
  let waiting: T[] = []
  for await (const batch of batches) {
    waiting.push(...batch)
    if (waiting.length < least) continue
    yield waiting
    waiting = []
  }
  if (waiting.length > 0) yield waiting
}

function requireClassifiers(files: unknown, classifiers: readonly FileClassifier[]): void {
  if (typeof files === "string") throw new UserError(`files must be a list, not ${kindOf(files)}`, "write [path]")
  const hint = "write [{ model, encoder, labels }], or take openClassifiers"
  requireList(classifiers, "classifiers", "models with labels", hint)
  for (const { encoder, labels } of classifiers) {
    requireMethods(encoder, ["encodePixels"], "a model", "give what `await loadModel(...)` gives")
    if (!(labels?.vectors instanceof Float32Array))
      throw new UserError(
        `label vectors were expected, not ${kindOf(labels)}`,
        "give what `await bakeLabels(...)` gives",
      )
  }
}

/** Labels are compared with the pictures of a batch at once. */
function* ranked(
  batch: readonly EncodedFile<string>[],
  classifiers: readonly FileClassifier[],
  top: number | undefined,
): Generator<ClassifiedFile> {
  const encoded = batch.flatMap((file) => ("vectors" in file ? [file.vectors] : []))
  const scores = classifiers.map(({ labels }, i) => {
    const pictures = concatenate(encoded.map((vectors) => vectors[i]!))
    return rankLabels(l2Normalize(pictures, labels.embedDim), labels, top)
  })
  let row = 0
  for (const file of batch) {
    if ("error" in file) yield { image: file.source, error: file.error }
    else {
      const place = row++
      const results = classifiers.map(({ model }, i) => ({ model, labels: scores[i]![place]! }))
      yield { image: file.source, results }
    }
  }
}
