/** What a worker process is told when it starts. */
import type { Job } from "../../reinforce/job.ts"
import type { Resources } from "./shard-options.ts"

export interface WorkerSettings {
  readonly job: Job
  /** The job's output folder. */
  readonly output: string
  readonly resources: Resources
}
