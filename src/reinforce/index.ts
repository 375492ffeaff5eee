/** Data generation from code: captions and embeddings for shards, on this machine or on those of a NATS server. */
export { EnvironmentError, UserError } from "../core/errors.ts"
export type { Progress, StartProgress } from "../core/progress.ts"
export { expandShards } from "../data/expand.ts"
export { type JoinOptions, joinJob, type PublishOptions, runOnWorkers } from "./distributed/fleet.ts"
export { type NatsSettings, natsSettings } from "./distributed/settings.ts"
export { type CaptionJob, defaultFormat, defaultMinImageSize, type EmbeddingJob, type Job } from "./job.ts"
export { type LocalOptions, reinforceLocally } from "./local.ts"
export { planShards } from "./plan.ts"
export { type ResourceRequest, resourceDefaults } from "./resources.ts"
export { type RunOutcome, requireComplete } from "./run.ts"
export type { ShardResult, ShardTask } from "./runner.ts"
export {
  augmentationOf,
  type CaptionRequest,
  captionDefaults,
  captionJob,
  type EmbeddingRequest,
  embeddingDefaults,
  embeddingJob,
} from "./stage-jobs.ts"
