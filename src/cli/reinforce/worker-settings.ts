/** What a worker process is told when it starts. */
import type { Job } from "../../reinforce/job.ts"
import type { ModelSource } from "../../teachers/model-source.ts"
import type { Resources } from "./shard-options.ts"

export interface WorkerSettings {
  readonly job: Job
  /** The job's output folder. */
  readonly output: string
  /** The job's models, on this machine. */
  readonly models: readonly ModelSource[]
  readonly resources: Resources
}
