/** A job's stage with its models: brought to this machine once, opened in each worker process. */
import { UserError } from "../core/errors.ts"
import type { Teacher } from "../core/teacher.ts"
import { type PullWeights, pull as pullFromHub } from "../hub/pull.ts"
import { openCaptioner } from "../teachers/captioners.ts"
import { type ModelSource, resolveModels } from "../teachers/model-source.ts"
import { onnxDtype, prepared, type RuntimeOptions } from "../teachers/runtime.ts"
import { openTeachers } from "../teachers/teachers.ts"
import { CaptionStage } from "./captions.ts"
import { EmbeddingStage } from "./embeddings.ts"
import { Ensemble } from "./ensemble.ts"
import type { CaptionJob, EmbeddingJob, Job } from "./job.ts"
import type { Resources } from "./resources.ts"
import type { Stage } from "./stage.ts"
import { synTextKey } from "./stage-jobs.ts"
import { DrawnViews } from "./views.ts"

export interface BringOptions {
  /** Brings a model where it is a name. Default: from the hub, without a word. */
  readonly pull?: PullWeights
  readonly signal?: AbortSignal
  /** Gets a line about what takes long, or is not as it was asked for. */
  readonly onNote?: (line: string) => void
}

/** Downloads and exports what is missing, so that worker processes find it. */
export async function bringModels(
  { stage }: Pick<Job, "stage">,
  resources: Resources,
  { pull = pullFromHub, signal, onNote = () => {} }: BringOptions = {},
): Promise<ModelSource[]> {
  const options = { ...runtimeOptions(stage, resources), onStage: onNote }
  const found = await resolveModels(stage.modelName, stage.pretrained ?? undefined, {
    dtype: onnxDtype(options),
    wantsCheckpoint: resources.runtime === "libtorch",
    onNote,
    pull: (source, { select }) => pull(source, { ...(select && { select }), signal }),
  })
  const ready: ModelSource[] = []
  for (const source of found) ready.push(await prepared(source, options))
  return ready
}

export function openStage(job: Job, models: readonly ModelSource[], resources: Resources): Promise<Stage> {
  const { stage } = job
  return stage.kind === "caption"
    ? openCaptions(job, stage, models, resources)
    : openEmbeddings(job, stage, models, resources)
}

async function openCaptions(job: Job, stage: CaptionJob, models: readonly ModelSource[], resources: Resources) {
  const { perImage, whole, generate, suffixes } = stage
  const generation = { ...generate, perImage, whole, seed: job.seed }
  const captioners = []
  for (const [i, model] of models.entries()) {
    const captioner = await openCaptioner(model, { ...runtimeOptions(stage, resources), generation })
    captioners.push({ captioner, key: `syn_text${suffixes[i]}` })
  }
  return new CaptionStage({ captioners, batchSize: resources.batchSize, ...picturesOf(job) })
}

async function openEmbeddings(job: Job, stage: EmbeddingJob, models: readonly ModelSource[], resources: Resources) {
  const teachers = await openTeachers(models, runtimeOptions(stage, resources))
  if (stage.normalize) requireNormalization(teachers, stage.normalize)
  const views = new DrawnViews({
    config: stage.augmentation,
    seed: job.seed,
    ...picturesOf(job),
    threads: resources.augmentThreads,
  })
  return new EmbeddingStage({
    ensemble: new Ensemble(teachers),
    views,
    perImage: stage.views,
    batchSize: resources.batchSize,
    synTextKey: synTextKey(stage.synTextKeyRegex),
    suffix: stage.suffix,
    dtype: job.format.embeddings === "pth.gz" ? "bfloat16" : "float32",
  })
}

/** The original takes one normalisation for all teachers, and so can be wrong for one. */
function requireNormalization(teachers: readonly Teacher[], wanted: NonNullable<EmbeddingJob["normalize"]>): void {
  for (const { name, preprocessing } of teachers) {
    const own = { mean: preprocessing.mean, std: preprocessing.std }
    if (JSON.stringify(own) === JSON.stringify({ mean: wanted.mean, std: wanted.std })) continue
    throw new UserError(
      `the augmentation normalises with ${JSON.stringify(wanted)}, and the teacher ${name} was trained with ${JSON.stringify(own)}`,
      "leave normalize out of --aug-config: each teacher's pixels are normalised as it was trained",
    )
  }
}

/** Which pictures are taken. */
function picturesOf({ minImageSize, truncated }: Job) {
  return { minImageSize, ...(truncated && { truncated }) }
}

function runtimeOptions({ dtype }: Job["stage"], { runtime, device, threads }: Resources): RuntimeOptions {
  return { device, threads, ...(runtime && { runtime }), ...(dtype && { dtype }) }
}
