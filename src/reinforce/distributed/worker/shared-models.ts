/** The models of a job: those of its first finished shard, which all others must have. */
import { assert, UserError } from "../../../core/errors.ts"
import { shortIdentity } from "../../../core/inference/teacher-identity.ts"
import { createEntry, updateEntry } from "../server/entries.ts"
import { answered, type QueuedJob, readControl } from "../server/queued-job.ts"
import { type JobModels, type Note, schemas } from "../server/records.ts"

const key = "models"

/** This worker has other models than the job. */
export class OtherModelsError extends UserError {}

/** What a worker's models are to its job. Models that finished no shard bind nobody. */
export class SharedModels {
  private isAgreed = false

  constructor(
    private readonly job: QueuedJob,
    private readonly identity: string,
    private readonly worker: string,
    private readonly note: Note,
  ) {}

  /** Throws OtherModelsError where others were first; asks the server until the job has models. */
  async check(signal?: AbortSignal): Promise<void> {
    if (this.isAgreed) return
    const there = await answered(this.job, () => readControl(this.job, key, schemas.models, this.note), signal)
    if (there) this.compare(there)
  }

  /**
   * Before a shard counts as done: these are the job's models where it has none yet. An entry that cannot be read is
   * replaced. Throws OtherModelsError where others were first.
   */
  async claim(signal?: AbortSignal): Promise<void> {
    if (this.isAgreed) return
    const own: JobModels = { identity: this.identity, worker: this.worker, at: Date.now() }
    if (!(await createEntry(this.job, "control", key, own, signal))) {
      await this.check(signal)
      if (!this.isAgreed) this.compare(await replaced(this.job, own, signal))
    }
    this.isAgreed = true
  }

  private compare({ identity, worker }: JobModels): void {
    if (identity !== this.identity) throw this.otherModels(identity, worker)
    this.isAgreed = true
  }

  private otherModels(identity: string, worker: string): OtherModelsError {
    const [theirs, ours] = [shortIdentity(identity), shortIdentity(this.identity)]
    return new OtherModelsError(
      `job ${this.job.name} is made by ${theirs} (first by worker ${worker}), and this machine has ${ours}`,
      `bring the job's weights to this machine; to use others, remove the job (mobileclip reinforce status --job ${this.job.name} --remove) and run it again, with another --output where shards are done`,
    )
  }
}

/** What stands there in the end: of several workers that find the entry unreadable, one replaces it. */
async function replaced(job: QueuedJob, own: JobModels, signal?: AbortSignal): Promise<JobModels> {
  const entry = await answered(job, () => job.control.get(key), signal)
  assert(entry, "an entry that cannot be created is there")
  if (await updateEntry(job, "control", key, own, entry.revision, signal)) return own
  return (await answered(job, () => readControl(job, key, schemas.models, () => {}), signal)) ?? own
}
