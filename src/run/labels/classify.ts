/** Zero-shot classification: which of some labels fits a picture best. */

import { kindOf, requireCount, requireList, requireMethods, requireTexts } from "../../core/arguments.ts"
import { batchesOf } from "../../core/arrays/batches.ts"
import { concatenate } from "../../core/arrays/concatenate.ts"
import { l2Normalize } from "../../core/arrays/similarity.ts"
import { asUserError, quoted, UserError } from "../../core/errors.ts"
import type { Image8 } from "../../core/image/pixels.ts"
import type { Abortable, Encoder } from "../../core/inference/encoder.ts"
import { nearestNames } from "../../core/nearest.ts"
import { alikeLabels } from "../../core/text/alike-labels.ts"
import type { LabelStore } from "../../core/text/label-store.ts"
import { defaultTemplates, labelVectors } from "../../core/text/prompts.ts"
import { type LabelVectors, labelHint, requireLabels, requireWords } from "./label-vectors.ts"
import { type LabelScore, rankLabels } from "./rank-labels.ts"

export interface ScoreOptions extends Abortable {
  /** How many labels each picture gets, the best ones (default: all). Scores are among all labels in any case. */
  readonly top?: number | undefined
}

export interface ClassifierModel<Picture = Image8> extends Encoder<Picture> {
  /** Factor on cosines before a softmax; null where no file says. */
  readonly logitScale: number | null
  /** Where vectors of labels are kept between runs; they are not where it is absent. */
  readonly labelStore?: LabelStore | null | undefined
}

export interface Classifier<Picture = Image8> {
  readonly labels: readonly string[]
  /** What each label is put into. */
  readonly templates: readonly string[]
  /** What to know about the labels, in lines: those that the model cannot tell apart, or that there is one alone. */
  readonly notes: readonly string[]
  /** For each image all labels, or the `top` ones, the best first. Throws UserError where no labels are left. */
  classify(images: readonly Picture[], options?: ScoreOptions): Promise<LabelScore[][]>
  /** Further labels after those that are there, which are not encoded again. A label that is there already stays as it is. */
  add(labels: readonly string[], options?: Abortable): Promise<void>
  /** Throws UserError for a label that is not there; then all stay. */
  remove(labels: readonly string[]): void
}

/**
 * A classifier of `labels`, which are encoded once: each in every template (`{}` is the label), the unit vectors
 * averaged. Throws UserError without labels or templates, and for a template without `{}`.
 */
export async function createClassifier<Picture = Image8>(
  model: ClassifierModel<Picture>,
  labels: readonly string[],
  templates: readonly string[] = defaultTemplates,
): Promise<Classifier<Picture>> {
  requireMethods(model, ["encodeImages", "encodeTexts"], "a model", "give what `await loadModel(...)` gives")
  requireWords(labels, templates)
  const vectors = await labelVectors(model, labels, templates, { store: model.labelStore })
  return classifierOf(model, { labels, templates, vectors })
}

/** A classifier of labels whose vectors are there. The text tower is needed where labels are added, and not before. */
export function classifierOf<Picture>(
  model: ClassifierModel<Picture>,
  labelled: Pick<LabelVectors, "labels" | "templates" | "vectors">,
): Classifier<Picture> {
  return new LabelClassifier(model, labelled)
}

/** What a score of 1 for every picture does not say. */
const aloneNote =
  'a softmax over one label is always 100 %: whether it fits is told by the cosine, or by a second label such as "something else"'

/** What to know about labels, in lines: those that a model cannot tell apart, or that there is one alone. */
export function labelNotes({ labels, templates }: Pick<LabelVectors, "labels" | "templates">): string[] {
  return labels.length === 1 ? [aloneNote] : alikeLabels(labels, templates)
}

class LabelClassifier<Picture> implements Classifier<Picture> {
  readonly templates: readonly string[]
  /** Replaced whole, so that a picture under way is scored by the labels of its beginning. */
  private labelled: Pick<LabelVectors, "labels" | "vectors">
  private present: Set<string>
  /** Begins with the vectors, and has room after them; null where they are another's. */
  private room: Float32Array | null = null

  constructor(
    private readonly model: ClassifierModel<Picture>,
    { templates, labels, vectors }: Pick<LabelVectors, "labels" | "templates" | "vectors">,
  ) {
    this.templates = templates
    this.labelled = { labels, vectors }
    this.present = new Set(labels)
  }

  get labels(): readonly string[] {
    return this.labelled.labels
  }

  get notes(): readonly string[] {
    return labelNotes(this)
  }

  async classify(images: readonly Picture[], { top, signal }: ScoreOptions = {}): Promise<LabelScore[][]> {
    const { labels, vectors } = this.labelled
    requireList(images, "images", "images", "write [image], with what decodeImage gives")
    requireCount("top", top)
    if (labels.length === 0) throw new UserError("there are no labels to choose from", "add one")
    const { embedDim, logitScale } = this.model
    const encoded = l2Normalize(await this.model.encodeImages(images, { signal }), embedDim)
    return rankLabels(encoded, { labels, vectors, embedDim, logitScale }, top)
  }

  async add(labels: readonly string[], { signal }: Abortable = {}): Promise<void> {
    requireLabels(labels)
    const added = this.withoutPresent([...new Set(labels)])
    const { embedDim, labelStore: store } = this.model
    const vectors = await labelVectors(this.model, added, this.templates, { signal, store })
    // Another call may have added some of them meanwhile.
    const isMissing = new Set(this.withoutPresent(added))
    this.append(rowsWhere({ labels: added, vectors }, embedDim, (label) => isMissing.has(label)))
  }

  remove(labels: readonly string[]): void {
    requireTexts(labels, "labels", labelHint)
    const unknown = labels.find((label) => !this.present.has(label))
    if (unknown !== undefined) throw notThere(unknown, this.labels)
    const removed = new Set(labels)
    this.labelled = rowsWhere(this.labelled, this.model.embedDim, (label) => !removed.has(label))
    this.present = new Set(this.labels)
    this.room = null
  }

  private withoutPresent(labels: readonly string[]): string[] {
    return labels.filter((label) => !this.present.has(label))
  }

  private append({ labels, vectors }: Pick<LabelVectors, "labels" | "vectors">): void {
    const before = this.labelled
    const length = before.vectors.length + vectors.length
    if (this.room === null || this.room.length < length) {
      // Twice as much, so that labels that are added one by one are not all copied for each.
      this.room = new Float32Array(2 * length)
      this.room.set(before.vectors)
    }
    this.room.set(vectors, before.vectors.length)
    this.labelled = { labels: before.labels.concat(labels), vectors: this.room.subarray(0, length) }
    for (const label of labels) this.present.add(label)
  }
}

function notThere(label: string, labels: readonly string[]): UserError {
  const nearest = nearestNames(label, labels).map(quoted).join(", ")
  return new UserError(`${quoted(label)} is not among the labels`, nearest ? `nearest: ${nearest}` : "there are none")
}

/** The labels that are kept, with their vectors. */
function rowsWhere(
  { labels, vectors }: Pick<LabelVectors, "labels" | "vectors">,
  embedDim: number,
  isKept: (label: string) => boolean,
): Pick<LabelVectors, "labels" | "vectors"> {
  const rows = labels.flatMap((label, row) => (isKept(label) ? [row] : []))
  return {
    labels: rows.map((row) => labels[row]!),
    vectors: concatenate(rows.map((row) => vectors.subarray(row * embedDim, (row + 1) * embedDim))),
  }
}

type Classified<Source> =
  | { readonly source: Source; readonly labels: LabelScore[] }
  | { readonly source: Source; readonly error: UserError }

/** Pictures decoded and held at once; the largest take 300 MB each. */
const BATCH = 4

/** Classifies pictures as `decode` gives them, in order; one that cannot be decoded gives the reason and the rest go on. */
export async function* classifyEach<Source>(
  classifier: Classifier,
  sources: readonly Source[],
  decode: (source: Source) => Image8 | Promise<Image8>,
): AsyncGenerator<Classified<Source>> {
  requireMethods(classifier, ["classify"], "a classifier", "give what `await createClassifier(...)` gives")
  requireList(sources, "sources", "pictures", "write [path]")
  if (typeof decode !== "function")
    throw new UserError(`decode must be a function, not ${kindOf(decode)}`, "give decodeImage")
  for await (const batch of batchesOf(sources, BATCH)) {
    const decoded = await Promise.all(
      batch.map(async (source) => decode(source)).map((image) => image.catch(asUserError)),
    )
    const results = await classifier.classify(decoded.filter(isImage))
    for (const [i, source] of batch.entries()) {
      const image = decoded[i]!
      yield isImage(image) ? { source, labels: results.shift()! } : { source, error: image }
    }
  }
}

function isImage(decoded: Image8 | UserError): decoded is Image8 {
  return !(decoded instanceof UserError)
}
