/**
 * From the vectors of a task's pictures to what a model answered. Vectors come in blocks, in the order of the pictures; where
 * classes are known from the start, only the best ones of each picture are kept.
 */
import { concatenate, concatenateIntegers } from "../../core/arrays/concatenate.ts"
import { cosines, matchRanksInTurns } from "../../core/arrays/similarity.ts"
import { assert, UserError } from "../../core/errors.ts"
import { textVectors } from "../../evaluate/encode.ts"
import { type AssociationAnswer, associationAnswer, cuePrompt } from "../../evaluate/metrics/association.ts"
import { faceAttributes, linesByAttribute } from "../../evaluate/metrics/attributes.ts"
import { captionAnswer } from "../../evaluate/metrics/caption-selection.ts"
import { keptClasses, type Predictions, topK } from "../../evaluate/metrics/predictions.ts"
import type { TaskAnswers } from "../../evaluate/metrics/task-metrics.ts"
import type { TaskKind } from "../../evaluate/suite/suite-task.ts"
import type { GroupColumn } from "../layout/benchmark-dataset.ts"
import type { PictureRecord } from "../pictures/encode-pictures.ts"
import { type EvaluatedModel, requireDirections } from "./evaluated-model.ts"
import { classifierOf, type LabelOptions } from "./label-classifier.ts"

/** What a task asks, with the class names and templates that hold for this run. */
export interface Question {
  readonly kind: TaskKind
  /** Where it is from, for messages. */
  readonly location: string
  readonly classNames: readonly string[] | null
  readonly templates: readonly string[] | null
  /** What the columns of the metadata are, where the data say so. */
  readonly groups: readonly GroupColumn[] | null
}

export interface Scorer {
  /** Unit vectors [any number, embedDim] of the next pictures. */
  add(vectors: Float32Array): void
  /** After all pictures. Throws UserError where a record does not fit the question. */
  finish(records: readonly PictureRecord[]): Promise<TaskAnswers>
}

/** Encodes what is known before the pictures come. Throws UserError where class names or templates are missing. */
export async function openScorer(model: EvaluatedModel, question: Question, options: LabelOptions): Promise<Scorer> {
  if (question.kind === "classification") {
    const { classNames, templates } = namesOf(question)
    const labels = await classifierOf(model, classNames, templates, options)
    return classificationScorer(new BestClasses(labels, model.embedDim), classNames.length, question)
  }
  if (question.kind === "attributes") return attributeScorer(model, question, options)
  if (question.kind === "multilabel") return multilabelScorer(model, question, options)
  const kept = new KeptVectors()
  return {
    add: (vectors) => kept.add(vectors),
    finish: (records) =>
      finishKept(question.kind, { model, location: question.location, vectors: kept.all(), records, options }),
  }
}

/** Throws UserError where a classification lacks them. */
export function namesOf({ classNames, templates, location }: Question) {
  if (!classNames || classNames.length === 0)
    throw new UserError(`${location} has no class names`, "write classnames.txt")
  if (!templates || templates.length === 0)
    throw new UserError(`${location} has no templates`, "write zeroshot_classification_templates.txt")
  return { classNames, templates }
}

/** The right class of each picture. Throws UserError for a picture without one, or one beyond the class names. */
export function labelsOf(records: readonly PictureRecord[], classes: number, location: string): Int32Array {
  return Int32Array.from(records, ({ label, key }) => {
    if (label === null) throw new UserError(`${location}, ${key} has no class`, "a sample needs a .cls")
    if (Number.isInteger(label) && label >= 0 && label < classes) return label
    throw new UserError(
      `${location}, ${key} has class index ${label}, and there are ${classes} class names`,
      `expected 0 to ${classes - 1}`,
    )
  })
}

/** The best classes of pictures, of all whose vectors came. */
class BestClasses {
  private readonly best: Int32Array[] = []
  readonly classes: number
  readonly kept: number

  constructor(
    private readonly labels: Float32Array,
    private readonly width: number,
    k: number = keptClasses,
  ) {
    this.classes = labels.length / width
    this.kept = Math.min(k, this.classes)
  }

  add(vectors: Float32Array): void {
    const step = rowsAtOnce * this.width
    for (let from = 0; from < vectors.length; from += step) {
      const scores = cosines(vectors.subarray(from, from + step), this.labels, this.width)
      this.best.push(topK(scores, this.classes, this.kept))
    }
  }

  /** [pictures, kept] */
  result(): Int32Array {
    return concatenateIntegers(this.best)
  }
}

/** Pictures whose scores exist at the same time. */
const rowsAtOnce = 256

function classificationScorer(best: BestClasses, classes: number, { location }: Question): Scorer {
  return {
    add: (vectors) => best.add(vectors),
    async finish(records) {
      const predictions = predictionsOf(best, labelsOf(records, classes, location))
      return { kind: "classification", predictions, metadata: metadataOf(records, location, "where there is any") }
    },
  }
}

function predictionsOf(best: BestClasses, labels: Int32Array): Predictions {
  const { classes, kept } = best
  const found = best.result()
  assert(found.length === labels.length * kept, `${found.length / kept} answers for ${labels.length} pictures`)
  return { classes, labels, best: found, kept }
}

async function attributeScorer(model: EvaluatedModel, question: Question, options: LabelOptions): Promise<Scorer> {
  const { classNames, templates } = namesOf(question)
  const [names, prompts] = [linesByAttribute(classNames), linesByAttribute(templates)]
  const each: { readonly attribute: (typeof faceAttributes)[number]; readonly best: BestClasses }[] = []
  for (const attribute of faceAttributes) {
    const labels = await classifierOf(model, names[attribute], prompts[attribute], options)
    each.push({ attribute, best: new BestClasses(labels, model.embedDim, 1) })
  }
  return {
    add(vectors) {
      for (const { best } of each) best.add(vectors)
    },
    async finish(records) {
      const [race, gender, age, toxic] = each.map(({ best }) => best.result())
      const predictions = { race: race!, gender: gender!, age: age!, toxic: toxic! }
      return { kind: "attributes", predictions, metadata: metadataOf(records, question.location, "always")! }
    },
  }
}

/** Keeps the scores of all classes, which are ranked over the pictures, in place of vectors, which are larger as a rule. */
async function multilabelScorer(model: EvaluatedModel, question: Question, options: LabelOptions): Promise<Scorer> {
  const { classNames, templates } = namesOf(question)
  const labels = await classifierOf(model, classNames, templates, options)
  const scores: Float32Array[] = []
  return {
    add(vectors) {
      scores.push(cosines(vectors, labels, model.embedDim))
    },
    async finish(records) {
      const targets = targetsOf(records, classNames.length, question)
      return { kind: "multilabel", scores: concatenate(scores), targets, classes: classNames.length }
    },
  }
}

/** 0 or 1, [pictures, classes] */
function targetsOf(records: readonly PictureRecord[], classes: number, { location }: Question): Uint8Array {
  const targets = new Uint8Array(records.length * classes)
  records.forEach(({ metadata, key }, i) => {
    if (metadata?.length !== classes || !metadata.every((value) => value === 0 || value === 1)) {
      throw new UserError(
        `${location}, ${key}: its .npy is not 0 or 1 for each of the ${classes} classes`,
        "a sample with several classes needs one number for each class name",
      )
    }
    targets.set(metadata, i * classes)
  })
  return targets
}

/** Metadata of all pictures, a row each; null where no picture has any. Throws UserError where only some have. */
function metadataOf(records: readonly PictureRecord[], location: string, expected: "always" | "where there is any") {
  const without = records.find(({ metadata }) => metadata === null)
  if (!without) return records.map(({ metadata }) => metadata!)
  if (expected === "where there is any" && records.every(({ metadata }) => metadata === null)) return null
  throw new UserError(`${location}, ${without.key} has no metadata`, "a sample needs an .npy")
}

/** Vectors of all pictures: for kinds that compare them with what is known only afterwards. */
class KeptVectors {
  private parts: Float32Array[] = []

  add(vectors: Float32Array): void {
    this.parts.push(vectors)
  }

  all(): Float32Array {
    const whole = concatenate(this.parts)
    this.parts = [whole]
    return whole
  }
}

/** What is scored when all pictures have come. */
interface KeptTask {
  readonly model: EvaluatedModel
  readonly location: string
  /** Unit vectors [pictures, embedDim] */
  readonly vectors: Float32Array
  readonly records: readonly PictureRecord[]
  readonly options: LabelOptions
}

function finishKept(kind: TaskKind, task: KeptTask): Promise<TaskAnswers> {
  switch (kind) {
    case "retrieval":
      return retrieval(task)
    case "caption-selection":
      return captionSelection(task)
    case "association":
      return association(task)
    default:
      throw new Error(`invariant: ${kind} needs no kept vectors`)
  }
}

async function retrieval({ model, location, vectors, records, options }: KeptTask): Promise<TaskAnswers> {
  for (const { key, texts } of records)
    if (texts.length === 0) throw new UserError(`${location}, ${key} has no caption`, "a sample needs a .txt")
  const imageOfText = records.flatMap(({ texts }, image) => texts.map(() => image))
  const texts = await captionVectors(model, captionsOf(records), options)
  const ranks = await matchRanksInTurns(vectors, texts, model.embedDim, imageOfText)
  return { kind: "retrieval", ranks }
}

async function captionSelection({ model, location, vectors, records, options }: KeptTask): Promise<TaskAnswers> {
  for (const { key, texts } of records)
    if (texts.length < 2)
      throw new UserError(`${location}, ${key} has ${texts.length} captions, and at least two are compared`)
  const texts = await captionVectors(model, captionsOf(records), options)
  const width = model.embedDim
  let from = 0
  const answers = records.map((record) => {
    const own = texts.subarray(from * width, (from + record.texts.length) * width)
    from += record.texts.length
    return captionAnswer(cosines(rowsOf(vectors, width, record.pictures), own, width), record.texts.length)
  })
  return { kind: "caption-selection", answers }
}

async function association({ model, location, vectors, records, options }: KeptTask): Promise<TaskAnswers> {
  const width = model.embedDim
  const cues = await captionVectors(
    model,
    records.map((record) => cuePrompt(cueOf(record, location))),
    options,
  )
  const answers = records.map(({ key, associations, pictures }, i): AssociationAnswer => {
    if (associations?.length !== pictures.length)
      throw new UserError(
        `${location}, ${key}: ${associations?.length ?? 0} associations for ${pictures.length} pictures`,
      )
    const cue = cues.subarray(i * width, (i + 1) * width)
    return associationAnswer(cosines(cue, rowsOf(vectors, width, pictures), width), associations)
  })
  return { kind: "association", answers }
}

function cueOf({ key, texts }: PictureRecord, location: string): string {
  if (texts[0]) return texts[0]
  throw new UserError(`${location}, ${key} has no cue`, "a sample needs a .txt")
}

function captionsOf(records: readonly PictureRecord[]): string[] {
  return records.flatMap(({ texts }) => texts)
}

/** Texts that are encoded at a time. */
const textsAtOnce = 512

/** Unit vectors [texts, embedDim]; equal texts of a block are encoded once. */
async function captionVectors(
  model: EvaluatedModel,
  texts: readonly string[],
  { onPrompts, signal }: LabelOptions,
): Promise<Float32Array> {
  const vectors = new Float32Array(texts.length * model.embedDim)
  onPrompts?.(0, texts.length)
  for (let from = 0; from < texts.length; from += textsAtOnce) {
    signal?.throwIfAborted()
    const block = texts.slice(from, from + textsAtOnce)
    vectors.set(requireDirections(await textVectors(model, block), model, "text"), from * model.embedDim)
    onPrompts?.(from + block.length, texts.length)
  }
  return vectors
}

function rowsOf(vectors: Float32Array, width: number, rows: readonly number[]): Float32Array {
  return concatenate(rows.map((row) => vectors.subarray(row * width, (row + 1) * width)))
}
