/** The program of a worker process: opens the job's models, then reinforces the shards it is sent. */
import { openStorage } from "../../data/stores/open.ts"
import type { ModelSource } from "../../teachers/model-source.ts"
import { requireSameModels } from "../job/compare.ts"
import type { Job } from "../job/job.ts"
import { Ledger } from "../job/ledger.ts"
import { serveShards } from "../pool/serve.ts"
import { openStage } from "../stages/open-stage.ts"
import { reinforceShard } from "./reinforce-shard.ts"
import type { Resources } from "./resources.ts"

/** What a worker process is told when it starts. */
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

serveShards(async (settings) => {
  const { job, output, models, resources, recordedBy } = settings as WorkerSettings
  const storage = openStorage()
  const ledger = await Ledger.open(storage, output, job)
  const stage = await openStage(job, models, resources)
  const kept = recordedBy === "worker" ? ledger : { folder: ledger.folder, record: async () => {} }
  const work = { storage, ledger: kept, stage, format: job.format }
  return {
    identity: stage.identity,
    async run(task, options) {
      // A queue may hold a shard that another worker has finished, and that died before it could say so.
      const made = await ledger.read(task)
      if (made) requireSameModels([made], stage.identity, output)
      return made ?? reinforceShard(task, work, options)
    },
  }
})
