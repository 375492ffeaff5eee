/**
 * A row of a batch: which view, caption and synthetic caption are taken (apple/ml-mobileclip training patch: each
 * uniform), and what they and their embeddings are. No augmentation but the stored one is done to a stored view.
 */

import type { Random } from "../../../core/arrays/random.ts"
import { UserError } from "../../../core/errors.ts"
import { type Preprocessing, preprocess } from "../../../core/image/preprocess.ts"
import type { Tokenizer } from "../../../core/text/tokenizer.ts"
import { augmentedPixels } from "../../augment/apply.ts"
import { drawCrop } from "../../augment/draw.ts"
import { type BadReason, BadSample } from "../bad-samples.ts"
import type { CaptionChoice, ViewKind } from "../config.ts"
import { type EmbeddingRow, realRow, syntheticRow, viewRow } from "./embedding-rows.ts"
import type { TrainingSample } from "./load.ts"

export interface RowSettings {
  readonly preprocessing: Preprocessing
  readonly contextLength: number
  readonly view: ViewKind
  readonly cropScale: readonly [number, number]
  readonly captionKey: CaptionChoice
  /** A regular expression; null where synthetic captions are not used. */
  readonly syntheticPattern: string | null
  /** Null where they have a term of their own. At 1, a sample need not have a real one. */
  readonly mixSynthetic: number | null
  /** Values in a row of embeddings; null where they are not used. */
  readonly embeddingWidth: number | null
}

/** Where a row goes; what a batch does not have is null. */
export interface RowOutput {
  readonly image: Float32Array
  readonly tokens: BigInt64Array
  readonly synthetic: BigInt64Array | null
  readonly imageEmbedding: Float32Array | null
  readonly textEmbedding: Float32Array | null
  readonly syntheticEmbedding: Float32Array | null
}

/** RandomResizedCrop's, width over height. */
const cropRatio = [3 / 4, 4 / 3] as const

/**
 * The interpolation of crops and of stored views, whatever a model's evaluation uses. open_clip's train transform is a
 * RandomResizedCrop that is always bicubic, and the loader of reinforced data takes its interpolation from it.
 */
const trainInterpolation = "bicubic"

/** Throws BadSample where the sample lacks something; `out` may then be half written. */
export function fillRow(
  sample: TrainingSample,
  random: Random,
  settings: RowSettings,
  tokenizer: Tokenizer,
  out: RowOutput,
): void {
  const view = drawView(sample, random)
  const { captionKey, syntheticPattern, mixSynthetic } = settings
  const isNeeded = syntheticPattern === null || mixSynthetic !== 1
  const real = isNeeded || hasCaptions(sample, captionKey) ? drawCaption(sample, random, captionKey) : null
  const synthetic = syntheticPattern === null ? null : drawSynthetic(sample, random, syntheticPattern)
  const isReplaced = synthetic !== null && mixSynthetic !== null && random.chance(mixSynthetic)
  const first = real === null || isReplaced ? synthetic! : real
  writePixels(sample, view, random, settings, out.image)
  writeTokens(first.text, tokenizer, out.tokens)
  if (out.synthetic) writeTokens(synthetic!.text, tokenizer, out.synthetic)
  if (out.imageEmbedding) writeRow(sample, viewRow(sample, view), out.imageEmbedding)
  if (out.textEmbedding) writeRow(sample, first.embedding(), out.textEmbedding)
  if (out.syntheticEmbedding) writeRow(sample, synthetic!.embedding(), out.syntheticEmbedding)
}

interface Caption {
  readonly text: string
  readonly embedding: () => EmbeddingRow | null
}

function drawView({ paramAug }: TrainingSample, random: Random): number {
  return paramAug && paramAug.length > 0 ? random.int(paramAug.length) : -1
}

function drawCaption(sample: TrainingSample, random: Random, choice: CaptionChoice): Caption {
  const { texts, precise, name } = sample
  if (choice === "precise" || (choice === "both" && random.chance(0.5))) {
    if (precise === null) throw new BadSample("no caption", `${name} has no "caption" in its json member`)
    return { text: precise, embedding: () => null }
  }
  if (texts.length === 0) throw new BadSample("no caption", `${name} has no caption`)
  const index = random.int(texts.length)
  return { text: texts[index]!.trim(), embedding: () => realRow(sample, index) }
}

/** Whether the sample has a caption of each kind that may be drawn. */
function hasCaptions({ texts, precise }: TrainingSample, choice: CaptionChoice): boolean {
  return (choice === "precise" || texts.length > 0) && (choice === "web" || precise !== null)
}

/** First a key of those that match, then a caption of it. */
function drawSynthetic(sample: TrainingSample, random: Random, pattern: string): Caption {
  const matching = new RegExp(pattern)
  const keys = [...sample.synTexts].filter(([key, texts]) => texts.length > 0 && matching.test(key))
  if (keys.length === 0) throw new BadSample("no synthetic captions", `${sample.name} has none of a key /${pattern}/`)
  const [key, texts] = random.pick(keys)
  const index = random.int(texts.length)
  return { text: texts[index]!.trim(), embedding: () => syntheticRow(sample, key, index) }
}

function writePixels(sample: TrainingSample, view: number, random: Random, settings: RowSettings, out: Float32Array) {
  const { image, name, paramAug } = sample
  const { preprocessing, cropScale } = settings
  const augmenting = { ...preprocessing, interpolation: trainInterpolation } as const
  switch (settings.view) {
    case "center":
      preprocess(image, preprocessing, out)
      return
    case "crop":
      augmentedPixels(image, [drawCrop({ scale: cropScale, ratio: cropRatio }, image, random), null], augmenting, out)
      return
    case "stored":
      if (view < 0) throw new BadSample("no stored views", `${name} has no param_aug`)
      asBad("view outside of the picture", () => augmentedPixels(image, paramAug![view]!, augmenting, out, name))
  }
}

function writeTokens(text: string, tokenizer: Tokenizer, out: BigInt64Array): void {
  out.set(tokenizer.encodeBatch([text], out.length).ids)
}

function writeRow({ name }: TrainingSample, row: EmbeddingRow | null, out: Float32Array): void {
  if (row?.length === out.length) out.set(row)
  else if (row) throw new BadSample("no embeddings", `${name} has embeddings of ${row.length}, not ${out.length}`)
  else throw new BadSample("no embeddings", `${name} lacks embeddings of the view or caption that was drawn`)
}

function asBad(reason: BadReason, work: () => void): void {
  try {
    work()
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    throw new BadSample(reason, error.message)
  }
}
