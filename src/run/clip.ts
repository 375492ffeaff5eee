/**
 * The library's face, the same in Node and in the browser: a model that is open. Pictures and texts become vectors in one
 * space, and labels become scores. What a picture may be, and what computes, is the host's (`clip-host.ts`).
 */
import { kindOf, requireList, requireOptionNames, requireSignal, requireTexts } from "../core/arguments.ts"
import { cosines, l2Normalize } from "../core/arrays/similarity.ts"
import { UserError } from "../core/errors.ts"
import type { Abortable } from "../core/inference/encoder.ts"
import { defaultTemplates } from "../core/text/prompts.ts"
import type { CaptionOptions } from "./caption/captioner.ts"
import type { ClipHost, ClipInfo } from "./clip-host.ts"
import { type Classifier, type ClassifierModel, classifierOf, type ScoreOptions } from "./labels/classify.ts"
import { LabelCache } from "./labels/label-cache.ts"
import { bakeLabels, type LabelVectors, requireLabelVectors, requireWords } from "./labels/label-vectors.ts"
import type { LabelScore } from "./labels/rank-labels.ts"

export interface EncodeOptions extends Abortable {
  /** Whether vectors get length 1 (default: true); false gives them as the tower does. */
  readonly normalize?: boolean | undefined
}

export interface LabelOptions extends Abortable {
  /** What each label is put into, in place of `{}` (default: "a photo of a {}."); the vectors of several are averaged. */
  readonly templates?: readonly string[] | undefined
}

export interface ClassifyOptions extends LabelOptions, ScoreOptions {}

const encodeOptionNames = { normalize: true, signal: true } satisfies Record<keyof EncodeOptions, true>
const classifyOptionNames = { templates: true, top: true, signal: true } satisfies Record<keyof ClassifyOptions, true>

export class ClipModel<Picture> implements ClassifierModel<Picture>, AsyncDisposable {
  readonly embedDim: number
  /** Factor on cosines before a softmax; null where no file says. */
  readonly logitScale: number | null
  private readonly kept = new LabelCache((labels, templates, signal) => this.bake(labels, templates, signal))
  private readonly running = new Set<Promise<unknown>>()
  private disposal: Promise<void> | null = null

  constructor(private readonly host: ClipHost<Picture>) {
    this.embedDim = host.info.embedDim
    this.logitScale = host.info.logitScale
  }

  /** Which model computes, on what, and in which type. */
  get info(): ClipInfo {
    return this.host.info
  }

  /** A unit vector [embedDim]. Throws UserError where the picture cannot be read. */
  encodeImage(picture: Picture, options: EncodeOptions = {}): Promise<Float32Array> {
    return this.encodeImages([picture], options)
  }

  /**
   * N pictures -> unit vectors [N, embedDim], row-major: picture i has `subarray(i * embedDim, (i + 1) * embedDim)`.
   *
   * @throws UserError that names the first picture which cannot be read; the signal's reason
   */
  async encodeImages(pictures: readonly Picture[], options: EncodeOptions = {}): Promise<Float32Array> {
    requireList(pictures, "pictures", "pictures", "write [picture]")
    if (pictures.length === 0) return new Float32Array(0)
    this.requireTower("image")
    return this.encoded(options, (signal) => this.host.encodeImages(pictures, signal))
  }

  /** A unit vector [embedDim]. */
  async encodeText(text: string, options: EncodeOptions = {}): Promise<Float32Array> {
    if (typeof text !== "string") throw new UserError(`a text was expected, not ${kindOf(text)}`, textHint)
    return this.encodeTexts([text], options)
  }

  /** N texts -> unit vectors [N, embedDim], row-major. A text longer than the model's context is cut. */
  async encodeTexts(texts: readonly string[], options: EncodeOptions = {}): Promise<Float32Array> {
    requireTexts(texts, "texts", 'write ["a photo of a cat"]')
    if (texts.length === 0) return new Float32Array(0)
    this.requireTower("text")
    return this.encoded(options, (signal) => this.host.encodeTexts(texts, signal))
  }

  /**
   * For each picture all labels, or the `top` ones, the best first. The labels' vectors are kept, so that the next call with
   * the same labels and templates encodes pictures only.
   *
   * @throws UserError for labels or templates that cannot be used, and a picture that cannot be read; the signal's reason
   */
  async classify(
    pictures: readonly Picture[],
    labels: readonly string[] | LabelVectors,
    options: ClassifyOptions = {},
  ): Promise<LabelScore[][]> {
    requireList(pictures, "pictures", "pictures", "write [picture]")
    requireOptionNames(options, classifyOptionNames)
    const classifier = await this.classifier(labels, options)
    return classifier.classify(pictures, options)
  }

  /**
   * A classifier whose labels can be added and removed without encoding the others again. Made from label vectors, it needs
   * no text tower; templates are then those of the vectors, and UserError is thrown where other ones are given.
   */
  async classifier(labels: readonly string[] | LabelVectors, options: LabelOptions = {}): Promise<Classifier<Picture>> {
    this.requireOpen()
    if (Array.isArray(labels) || typeof labels !== "object") {
      return classifierOf(this.labelModel(), await this.bakeLabels(labels as readonly string[], options))
    }
    requireLabelVectors(labels, this.info)
    requireOwnTemplates(options.templates, labels)
    // A head that was trained on pictures has a scale of its own.
    const logitScale = (labels as LabelVectors).logitScale ?? this.logitScale
    return classifierOf({ ...this.labelModel(), logitScale }, labels as LabelVectors)
  }

  /** The labels' vectors as data, from which a classifier is made without a text tower. They must not be written to. */
  async bakeLabels(
    labels: readonly string[],
    { templates = defaultTemplates, signal }: LabelOptions = {},
  ): Promise<LabelVectors> {
    requireWords(labels, templates)
    this.requireTower("text")
    return this.kept.vectors(labels, templates, signal)
  }

  /** Cosines [N, M], row-major, of vectors [N, embedDim] and [M, embedDim] of any length; of two single ones, one value. */
  similarity(a: Float32Array, b: Float32Array): Float32Array {
    const { embedDim } = this
    requireRows(a, embedDim)
    requireRows(b, embedDim)
    return cosines(l2Normalize(a.slice(), embedDim), l2Normalize(b.slice(), embedDim), embedDim)
  }

  /** Captions of each picture, `perImage` of them. Throws UserError where the model has no decoder. */
  async caption(pictures: readonly Picture[], options: CaptionOptions = {}): Promise<string[][]> {
    requireList(pictures, "pictures", "pictures", "write [picture]")
    this.requireTower("image")
    return this.use(() => this.host.caption(pictures, options))
  }

  /** Frees the model as soon as what is under way has ended. Twice is as once. */
  dispose(): Promise<void> {
    this.disposal ??= Promise.allSettled(this.running).then(() => this.host.dispose())
    return this.disposal
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  private async encoded(
    options: EncodeOptions,
    encode: (signal: AbortSignal | undefined) => Promise<Float32Array>,
  ): Promise<Float32Array> {
    requireOptionNames(options, encodeOptionNames)
    const { normalize = true, signal } = options
    requireSignal(signal)
    signal?.throwIfAborted()
    const vectors = await this.use(() => encode(signal))
    return normalize ? l2Normalize(vectors, this.embedDim) : vectors
  }

  private bake(labels: readonly string[], templates: readonly string[], signal: AbortSignal): Promise<LabelVectors> {
    return bakeLabels({ ...this.info, ...this.labelModel() }, labels, templates, { signal })
  }

  /** What labels' vectors are made by. Texts are as the tower gives them: normalised twice, they would differ in their last bits. */
  private labelModel(): ClassifierModel<Picture> {
    const { embedDim, logitScale, host } = this
    return {
      ...{ embedDim, logitScale, labelStore: host.labelStore },
      encodeImages: (pictures, options) => this.encodeImages(pictures, options),
      encodeTexts: (texts, options) => this.encodeTexts(texts, { ...options, normalize: false }),
    }
  }

  /** A session that is freed while it computes would end the process. */
  private async use<T>(work: () => Promise<T>): Promise<T> {
    this.requireOpen()
    const result = work()
    this.running.add(result)
    return result.finally(() => this.running.delete(result))
  }

  private requireOpen(): void {
    if (this.disposal) throw new UserError(`${this.info.name} was disposed of`, "load it again, or dispose of it later")
  }

  private requireTower(tower: "image" | "text"): void {
    this.requireOpen()
    const { towers, name } = this.info
    if (towers === "both" || towers === tower) return
    throw new UserError(`${name} is open without its ${tower} tower`, 'load it with towers: "both"')
  }
}

const textHint = 'write "a photo of a cat"'

function requireOwnTemplates(given: readonly string[] | undefined, { templates }: LabelVectors): void {
  if (given === undefined || JSON.stringify(given) === JSON.stringify(templates)) return
  throw new UserError(
    "templates were given with label vectors, which were made with other ones",
    "leave templates out, or make the vectors again with them",
  )
}

function requireRows(value: unknown, embedDim: number): void {
  if (value instanceof Float32Array && value.length % embedDim === 0) return
  const found = value instanceof Float32Array ? `${value.length} values` : kindOf(value)
  throw new UserError(
    `vectors must be a Float32Array of rows of ${embedDim} values, not ${found}`,
    "give what encodeImages and encodeTexts give",
  )
}
