/**
 * Data generation from code: captions and embeddings for shards, on this machine or on those of a NATS server, whose
 * client is loaded when it is asked for; and what joins, checks, counts and shows the shards that came out.
 */
export { EnvironmentError, UserError } from "../core/errors.ts"
export type { Progress, StartProgress } from "../core/progress.ts"
export { expandShards } from "../data/expand.ts"
export type { JoinJobOptions, PublishOptions } from "./distributed/fleet.ts"
export type { StatsOnWorkersOptions, VerifyOnWorkersOptions } from "./distributed/look-on-workers.ts"
export type { NatsSettings } from "./distributed/server/nats-settings.ts"
export type { Retried } from "./distributed/server/parking.ts"
export type { JobStatus } from "./distributed/status.ts"
export {
  type CaptionJob,
  defaultFormat,
  defaultMinImageSize,
  type EmbeddingJob,
  type Job,
  publishDefaults,
} from "./job/job.ts"
export { planShards } from "./job/plan.ts"
export {
  augmentationOf,
  type CaptionRequest,
  captionDefaults,
  captionJob,
  type EmbeddingRequest,
  embeddingDefaults,
  embeddingJob,
} from "./job/stage-jobs.ts"
export { type LocalOptions, reinforceLocally } from "./local/local.ts"
export { type ResourceRequest, resourceDefaults } from "./local/resources.ts"
export { type RunOutcome, requireComplete } from "./local/run-shards.ts"
export type { ShardResult, ShardTask } from "./runner.ts"
export { type JoinReport, joinShards } from "./tools/join/join.ts"
export { type ReplayResult, replayViews } from "./tools/replay.ts"
export { type StatsReport, shardStats } from "./tools/stats/stats.ts"
export {
  type ContactSheetOptions,
  contactSheetDefaults,
  type JoinShardsOptions,
  joinDefaults,
  type ReplayOptions,
  replayDefaults,
  type StatsOptions,
  statsDefaults,
  type VerifyOptions,
  verifyDefaults,
} from "./tools/tool-options.ts"
export { type AgainstOptions, type AgainstReport, compareShards } from "./tools/verify/against.ts"
export { type VerifyReport, verifyShards } from "./tools/verify/verify.ts"

type Fleet = typeof import("./distributed/fleet.ts")
type Look = typeof import("./distributed/look-on-workers.ts")
type Settings = typeof import("./distributed/server/nats-settings.ts")

/** See `distributed/fleet.ts`. */
export const runOnWorkers: Fleet["runOnWorkers"] = async (...given) =>
  (await import("./distributed/fleet.ts")).runOnWorkers(...given)

/** See `distributed/look-on-workers.ts`. */
export const verifyOnWorkers: Look["verifyOnWorkers"] = async (...given) =>
  (await import("./distributed/look-on-workers.ts")).verifyOnWorkers(...given)

/** See `distributed/look-on-workers.ts`. */
export const statsOnWorkers: Look["statsOnWorkers"] = async (...given) =>
  (await import("./distributed/look-on-workers.ts")).statsOnWorkers(...given)

/** See `distributed/fleet.ts`. */
export const joinJob: Fleet["joinJob"] = async (...given) => (await import("./distributed/fleet.ts")).joinJob(...given)

/** See `distributed/fleet.ts`. */
export const statusOnServer: Fleet["statusOnServer"] = async (...given) =>
  (await import("./distributed/fleet.ts")).statusOnServer(...given)

/** See `distributed/fleet.ts`. */
export const retryOnServer: Fleet["retryOnServer"] = async (...given) =>
  (await import("./distributed/fleet.ts")).retryOnServer(...given)

/** See `distributed/fleet.ts`. */
export const removeFromServer: Fleet["removeFromServer"] = async (...given) =>
  (await import("./distributed/fleet.ts")).removeFromServer(...given)

/** See `distributed/server/nats-settings.ts`. */
export const natsSettings: Settings["natsSettings"] = async (...given) =>
  (await import("./distributed/server/nats-settings.ts")).natsSettings(...given)
