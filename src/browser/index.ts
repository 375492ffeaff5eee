/// <reference lib="esnext.disposable" preserve="true" />
/// <reference lib="dom" preserve="true" />
/// <reference lib="dom.asynciterable" preserve="true" />
/** `mobileclip/browser`: the same interface as `mobileclip`, computed in a module worker by ONNX Runtime Web. */

import "./no-eval.ts"

export { cosines, l2Normalize } from "../core/arrays/similarity.ts"
export { UserError } from "../core/errors.ts"
export type { Image8, Rgba } from "../core/image/pixels.ts"
export { type Preprocessing, preprocess } from "../core/image/preprocess.ts"
export type { Abortable } from "../core/inference/encoder.ts"
export type { Manifest } from "../core/inference/manifest.ts"
export { Tokenizer } from "../core/text/tokenizer.ts"
export type { CaptionOptions } from "../run/caption/captioner.ts"
export type { ClassifyOptions, EncodeOptions, LabelOptions } from "../run/clip.ts"
export type { ClipInfo, LoadProgress, Towers } from "../run/clip-host.ts"
export type { Classifier } from "../run/labels/classify.ts"
export { parseLabels, serializeLabels } from "../run/labels/label-file.ts"
export { type LabelVectors, weightsDigest } from "../run/labels/label-vectors.ts"
export type { LabelScore } from "../run/labels/rank-labels.ts"
export type { PipelineOptions, PipelineScore, ZeroShotPipeline } from "../run/pipeline.ts"
export { MobileCLIP, pipeline } from "./clip.ts"
export type { BrowserLoadOptions, WasmPaths } from "./load-options.ts"
export type { BrowserPicture } from "./pictures/picture.ts"
export { type CachedModel, clearCache, listCached } from "./weights/kept-models.ts"
export type { HubAddress, ModelSource } from "./weights/model-source.ts"
