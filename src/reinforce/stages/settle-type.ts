/**
 * `--dtype auto` of the embedding stage. The type is settled once, when a job begins, and is then a part of the job: workers
 * follow it or refuse, whatever would be faster on their machines, so that no output mixes vectors of two types.
 */
import type { ModelDtype } from "../../core/precision.ts"
import type { Storage } from "../../data/stores/storage.ts"
import { chooseRuntime, type RuntimeRecord } from "../../teachers/choose-runtime.ts"
import { isSameJob } from "../job/compare.ts"
import type { AnyJob, EmbeddingJob, Job } from "../job/job.ts"
import { readJob } from "../job/ledger.ts"
import type { Resources } from "../local/resources.ts"
import { type BringOptions, broughtModels, runtimeOptions } from "./open-stage.ts"

export interface SettleOptions extends BringOptions {
  /** Chooses the type of an embedding job that says none by a short measurement: bfloat16 where it is as good and faster. */
  readonly chooseType?: boolean
}

export interface SettledJob {
  readonly job: Job
  /** What was measured; null where it was not. */
  readonly runtime: RuntimeRecord | null
}

/**
 * The job with the type of its weights: as its output was begun with, else measured on this machine. A job that asks for
 * bfloat16 itself is tried, so that a note can warn of vectors that are not those of float32.
 *
 * @throws UserError where a model is not there, or no runtime does what is asked for
 */
export async function settleType(
  job: Job,
  storage: Storage,
  output: string,
  resources: Resources,
  options: SettleOptions,
  choose: typeof chooseRuntime = chooseRuntime,
): Promise<SettledJob> {
  const { stage } = job
  const { chooseType = false, onNote = () => {} } = options
  if (stage.kind !== "embedding" || !(chooseType || stage.dtype === "bf16")) return { job, runtime: null }
  const begun = begunType(await readJob(storage, output), job, stage, chooseType)
  if (begun !== undefined) {
    if (chooseType) onNote(`--dtype auto: ${begun ?? "weights as they are"}, with which ${output} was begun`)
    return { job: withType(job, stage, begun), runtime: null }
  }
  const { record, reason } = await choose(await broughtModels(stage, resources, options), {
    ...runtimeOptions(stage, resources),
    ...(chooseType && { dtype: "auto" as const }),
    onStage: onNote,
  })
  if (reason) onNote(reason)
  return { job: withType(job, stage, record.dtype === "bf16" ? "bf16" : stage.dtype), runtime: record }
}

/** The type that this very job was begun with; undefined where it was not begun. */
function begunType(
  begun: AnyJob | null,
  job: Job,
  stage: EmbeddingJob,
  chooseType: boolean,
): ModelDtype | null | undefined {
  if (!begun || !("stage" in begun)) return undefined
  const { dtype } = begun.stage
  return isSameJob(begun, chooseType ? withType(job, stage, dtype) : job) ? dtype : undefined
}

function withType(job: Job, stage: EmbeddingJob, dtype: ModelDtype | null): Job {
  return { ...job, stage: { ...stage, dtype } }
}
