/** What a worker process is told when it starts. */

import type { ModelSource } from "../../teachers/model-source.ts"
import type { Job } from "../job/job.ts"
import type { Resources } from "./resources.ts"

export interface WorkerSettings {
  readonly job: Job
  /** The job's output folder. */
  readonly output: string
  /** The job's models, on this machine. */
  readonly models: readonly ModelSource[]
  readonly resources: Resources
  /** Who writes the record of a shard that is complete; the caller, where it may refuse the result. */
  readonly recordedBy: "worker" | "caller"
}
