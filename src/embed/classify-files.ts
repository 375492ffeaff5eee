/** Files of pictures to their labels by one or several models: each is decoded once, and results come as they are made. */
import { concatenate } from "../core/arrays/concatenate.ts"
import { l2Normalize } from "../core/arrays/similarity.ts"
import type { UserError } from "../core/errors.ts"
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

/** In the order of the files. One that cannot be decoded gives the reason, and the others go on. */
export async function* classifyFiles(
  files: Iterable<string> | AsyncIterable<string>,
  classifiers: readonly FileClassifier[],
  options: EncodeFilesOptions = {},
): AsyncGenerator<ClassifiedFile> {
  const encoders = classifiers.map(({ encoder }) => encoder)
  for await (const batch of encodeFiles(files, encoders, options)) yield* ranked(batch, classifiers)
}

/** Labels are compared with the pictures of a batch at once. */
function* ranked(
  batch: readonly EncodedFile<string>[],
  classifiers: readonly FileClassifier[],
): Generator<ClassifiedFile> {
  const encoded = batch.flatMap((file) => ("vectors" in file ? [file.vectors] : []))
  const scores = classifiers.map(({ labels }, i) => {
    const pictures = concatenate(encoded.map((vectors) => vectors[i]!))
    return rankLabels(l2Normalize(pictures, labels.embedDim), labels)
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
