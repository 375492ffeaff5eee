/** The models of a job: those of its first worker, which all others must have. */
import { assert, UserError } from "../../core/errors.ts"
import { untilAnswered } from "./connection.ts"
import { createEntry, updateEntry } from "./entries.ts"
import { type Job, readControl } from "./job.ts"
import { type JobModels, type Note, schemas } from "./records.ts"

const key = "models"

/**
 * Stores the models of the first worker with the job. An entry that cannot be read is replaced.
 * @throws UserError where the job has other models
 */
export async function requireSharedModels(job: Job, identity: string, worker: string, note: Note): Promise<void> {
  const own: JobModels = { identity, worker, at: Date.now() }
  if (await createEntry(job.control, key, own)) return
  const there = (await untilAnswered(() => readControl(job, key, schemas.models, note))) ?? (await replaced(job, own))
  if (there.identity === identity) return
  throw new UserError(
    `job ${job.name} is made by ${there.identity} (first by worker ${there.worker}), and this machine has ${identity}`,
    "bring the same weights to every machine; for others, remove the job and take another --output",
  )
}

/** What stands there in the end: of several workers that find the entry unreadable, one replaces it. */
async function replaced(job: Job, own: JobModels): Promise<JobModels> {
  const entry = await untilAnswered(() => job.control.get(key))
  assert(entry, "an entry that cannot be created is there")
  if (await updateEntry(job.control, key, own, entry.revision)) return own
  return (await untilAnswered(() => readControl(job, key, schemas.models, () => {}))) ?? own
}
