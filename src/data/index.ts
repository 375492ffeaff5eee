/** Data from code: shards of samples, reinforced or not, the batches that training draws from them, and stores by URL. */
export { UserError } from "../core/errors.ts"
export { expandShards } from "./expand.ts"
export { type MadeShards, makeShards } from "./make-shards/make-shards.ts"
export { type MakeShardsOptions, makeShardsDefaults } from "./make-shards/options.ts"
export type { LeftOut } from "./make-shards/packing.ts"
export { encodeSamples, type SampleFormat } from "./reinforced/encode.ts"
export { readSamples } from "./reinforced/read.ts"
export type { Embeddings, EncodedImage, Problem, ReinforcedSample } from "./reinforced/sample.ts"
export {
  type DamagedShard,
  type IndexedShards,
  type IndexShardsOptions,
  indexShards,
} from "./sample-index/index-shards.ts"
export { renderScenes, type ScenesOptions, scenesDefaults } from "./scenes/dataset.ts"
export { readShard, type Sample, writeShard } from "./shards.ts"
export { openStorage, type StorageOptions } from "./stores/open.ts"
export type { Storage } from "./stores/storage.ts"
export type { TrainingDataConfig } from "./training/config.ts"
export {
  type IndexedList,
  type IndexedSources,
  type IndexListOptions,
  indexList,
  indexSources,
} from "./training/sources/index-lists.ts"
export { openTrainingData, type TrainingData } from "./training/training-data.ts"
