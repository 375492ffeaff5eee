/**
 * Data generation from code: captions and embeddings for shards, on this machine or on those of a NATS server, whose
 * client is loaded when it is asked for.
 */
export { EnvironmentError, UserError } from "../core/errors.ts"
export type { Progress, StartProgress } from "../core/progress.ts"
export { expandShards } from "../data/expand.ts"
export type { JoinOptions, PublishOptions } from "./distributed/fleet.ts"
export type { NatsSettings } from "./distributed/settings.ts"
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

type Fleet = typeof import("./distributed/fleet.ts")
type Settings = typeof import("./distributed/settings.ts")

/** See `distributed/fleet.ts`. */
export const runOnWorkers: Fleet["runOnWorkers"] = async (...given) =>
  (await import("./distributed/fleet.ts")).runOnWorkers(...given)

/** See `distributed/fleet.ts`. */
export const joinJob: Fleet["joinJob"] = async (...given) => (await import("./distributed/fleet.ts")).joinJob(...given)

/** See `distributed/settings.ts`. */
export const natsSettings: Settings["natsSettings"] = async (...given) =>
  (await import("./distributed/settings.ts")).natsSettings(...given)
