/** Processes that look at shards for a job on a server. */
import { fileURLToPath } from "node:url"
import { workerFile } from "../../../host/worker-file.ts"
import type { CheckJob } from "../../job/job.ts"
import { ProcessPool } from "../../pool/process-pool.ts"

/** What a process is told when it starts. */
export interface CheckPoolSettings {
  readonly job: CheckJob
  /** The job's output folder, which is not that of the shards. */
  readonly output: string
}

export function openCheckPool(settings: CheckPoolSettings, processes: number): Promise<ProcessPool> {
  const program = fileURLToPath(workerFile(import.meta.url, "check-program"))
  return ProcessPool.open({ program, settings, processes })
}
