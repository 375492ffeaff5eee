/** Models with their labels, encoded now or baked before, for pictures that are decoded once for all of them. */
import { UserError } from "../core/errors.ts"
import { openAll } from "../core/open-all.ts"
import { noProgress, type StartProgress } from "../core/progress.ts"
import { decodeText } from "../core/text/decode-text.ts"
import { type LabelsShown, labelProgress } from "../core/text/label-progress.ts"
import { defaultTemplates } from "../core/text/prompts.ts"
import { readBytes } from "../host/files/files.ts"
import { labelNotes } from "../run/labels/classify.ts"
import { parseLabels, requireLabelsOf } from "../run/labels/label-file.ts"
import { bakeLabels, type LabelVectors, requireWords } from "../run/labels/label-vectors.ts"
import type { Model } from "../run/model.ts"
import { type LoadOptions, loadModel } from "../weights/load-model.ts"
import type { FileClassifier } from "./classify-files.ts"

/** Words that are encoded, or files of labels' vectors, one for each model and in their order. */
export type GivenLabels =
  | { readonly kind: "words"; readonly labels: readonly string[]; readonly templates?: readonly string[] | undefined }
  | { readonly kind: "baked"; readonly files: readonly string[] }

export interface OpenClassifiers extends AsyncDisposable {
  readonly classifiers: readonly (FileClassifier & { readonly encoder: Model })[]
  /** What to know about the labels, in lines. */
  readonly notes: readonly string[]
}

interface OpenClassifiersOptions extends LoadOptions {
  /** Shows how far labels are encoded, where that takes long. */
  readonly startProgress?: StartProgress | undefined
  /** Is told of each model before its labels are encoded, which may take hours; what it throws ends the work. */
  readonly onModel?: (model: Model) => void
}

/**
 * @param names of models, as `loadModel` takes them; with baked labels only their image towers are read
 * @throws UserError where a model or labels cannot be used
 */
export async function openClassifiers(
  names: readonly string[],
  given: GivenLabels,
  { onModel, startProgress = noProgress, ...options }: OpenClassifiersOptions = {},
): Promise<OpenClassifiers> {
  requireOnce(names)
  const labelsOf =
    given.kind === "baked"
      ? await bakedLabels(given.files, names)
      : wordsOf(given, { startProgress, say: options.onNote })
  const towers = given.kind === "baked" ? "image" : "both"
  const opened = await openAll(names, (name) => loadModel(name, { ...options, towers }))
  const close = () => opened[Symbol.asyncDispose]()
  try {
    for (const model of opened.all) onModel?.(model)
    const labels: LabelVectors[] = []
    for (const [i, model] of opened.all.entries()) labels.push(await labelsOf(model, i))
    const classifiers = opened.all.map((encoder, i) => ({ model: names[i]!, encoder, labels: labels[i]! }))
    return { classifiers, notes: [...new Set(labels.flatMap(labelNotes))], [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}

/** The labels of a model, by its number. */
type LabelsOf = (model: Model, index: number) => Promise<LabelVectors>

function wordsOf(
  { labels, templates = defaultTemplates }: GivenLabels & { kind: "words" },
  shown: LabelsShown,
): LabelsOf {
  requireWords(labels, templates)
  return (model) => bakeLabels(model, labels, templates, labelProgress(`labels by ${model.name}`, shown))
}

async function bakedLabels(files: readonly string[], models: readonly string[]): Promise<LabelsOf> {
  if (files.length !== models.length) {
    const [given, wanted] = [counted(files.length, "file"), counted(models.length, "model")]
    throw new UserError(
      `${given} of labels' vectors for ${wanted}`,
      "give one --baked for each --model, in the same order",
    )
  }
  const all = await Promise.all(files.map(async (file) => parseLabels(decodeText(await readBytes(file), file), file)))
  return async (model, index) => {
    requireLabelsOf(all[index]!, model, files[index]!)
    return all[index]!
  }
}

/** Results name the model, so that each name must be another one. */
function requireOnce(models: readonly string[]): void {
  const again = models.find((model, i) => models.indexOf(model) !== i)
  if (again !== undefined) throw new UserError(`the model ${again} was named twice`, "name each model once")
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`
}
