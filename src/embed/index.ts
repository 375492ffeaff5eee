/// <reference lib="esnext.disposable" preserve="true" />
/** `mobileclip/embed`: vectors of pictures and texts to files, and labels of files. */
export { UserError } from "../core/errors.ts"
export { type NamedPictures, namedPictures } from "../host/image/image-files.ts"
export { parseLabels, serializeLabels } from "../run/labels/label-file.ts"
export { bakeLabels, type LabelVectors } from "../run/labels/label-vectors.ts"
export type { LabelScore } from "../run/labels/rank-labels.ts"
export { type ClassifiedFile, classifyFiles, type FileClassifier, type ModelLabels } from "./classify-files.ts"
export { type EmbeddedModel, type EmbedOptions, embed, embedDefaults } from "./embed.ts"
export { fileInputs, type Inputs } from "./inputs.ts"
export { type GivenLabels, type OpenClassifiers, openClassifiers } from "./open-classifiers.ts"
