/** The models of a job: those of its first worker, which all others must have. */
import { assert, UserError } from "../../core/errors.ts"
import { createEntry, updateEntry } from "./entries.ts"
import { answered, type Job, readControl } from "./job.ts"
import { type JobModels, type Note, schemas } from "./records.ts"

const key = "models"

/**
 * Stores the models of the first worker with the job. An entry that cannot be read is replaced.
 * @throws UserError where the job has other models
 */
export async function requireSharedModels(
  job: Job,
  identity: string,
  worker: string,
  note: Note,
  signal: AbortSignal,
): Promise<void> {
  const own: JobModels = { identity, worker, at: Date.now() }
  if (await createEntry(job, "control", key, own, signal)) return
  const found = await answered(job, () => readControl(job, key, schemas.models, note), signal)
  const there = found ?? (await replaced(job, own, signal))
  if (there.identity === identity) return
  throw new UserError(
    `job ${job.name} is made by ${there.identity} (first by worker ${there.worker}), and this machine has ${identity}`,
    "bring the same weights to every machine; for others, remove the job and take another --output",
  )
}

/** What stands there in the end: of several workers that find the entry unreadable, one replaces it. */
async function replaced(job: Job, own: JobModels, signal: AbortSignal): Promise<JobModels> {
  const entry = await answered(job, () => job.control.get(key), signal)
  assert(entry, "an entry that cannot be created is there")
  if (await updateEntry(job, "control", key, own, entry.revision, signal)) return own
  return (await answered(job, () => readControl(job, key, schemas.models, () => {}), signal)) ?? own
}
