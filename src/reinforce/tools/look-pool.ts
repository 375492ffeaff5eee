/** Processes that look at shards for a job on a server. */
import { fileURLToPath } from "node:url"
import { workerFile } from "../../host/worker-file.ts"
import type { LookJob } from "../job/job.ts"
import { ProcessPool } from "../pool/process-pool.ts"

/** What a process is told when it starts. */
export interface LookPoolSettings {
  readonly job: LookJob
  /** The job's output folder, which is not that of the shards. */
  readonly output: string
}

export function openLookPool(settings: LookPoolSettings, processes: number): Promise<ProcessPool> {
  const program = fileURLToPath(workerFile(import.meta.url, "write-look-program"))
  return ProcessPool.open({ program, settings, processes })
}
