/// <reference lib="esnext.disposable" preserve="true" />
/** What applications use: a model, pictures, labels. */

export { cosines, l2Normalize } from "./core/arrays/similarity.ts"
export { UserError } from "./core/errors.ts"
export { type VariantName, variants } from "./core/family/variants.ts"
export type { Image8 } from "./core/image/pixels.ts"
export { type Preprocessing, preprocess } from "./core/image/preprocess.ts"
export type { Encoder } from "./core/inference/encoder.ts"
export type { Manifest } from "./core/inference/manifest.ts"
export { Tokenizer } from "./core/text/tokenizer.ts"
export { decodeImage } from "./host/image/images.ts"
export { type GenerateOptions, generationTypes } from "./run/caption/options.ts"
export type { Captioner, CaptionOptions } from "./run/captioner.ts"
export { type Classifier, classifyEach, createClassifier } from "./run/classify.ts"
export type { Model } from "./run/model.ts"
export type { LabelScore } from "./run/rank-labels.ts"
export { type LoadOptions, loadCaptioner, loadModel } from "./weights/load-model.ts"
