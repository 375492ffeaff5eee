/** A job's stage with its models: brought to this machine once, opened in each worker process. */
import { existsSync, readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { UserError } from "../../core/errors.ts"
import { manifestFile } from "../../core/inference/manifest.ts"
import type { Teacher } from "../../core/inference/teacher.ts"
import { ensembleIdentity } from "../../core/inference/teacher-identity.ts"
import { type PullWeights, pull as pullFromHub } from "../../hub/pull.ts"
import { openCaptioner } from "../../teachers/captioners.ts"
import { type ModelSource, type ResolveOptions, resolveModels } from "../../teachers/model-source.ts"
import { onnxDtype, prepared, type RuntimeOptions, wantsCheckpoint } from "../../teachers/runtime.ts"
import { openTeachers, teachersIdentity } from "../../teachers/teachers.ts"
import type { CaptionJob, EmbeddingJob, Job } from "../job/job.ts"
import { captionDefaults, generationOf, synTextKey } from "../job/stage-jobs.ts"
import type { Resources } from "../local/resources.ts"
import { CaptionStage } from "./captions.ts"
import { EmbeddingStage } from "./embeddings.ts"
import { Ensemble } from "./ensemble.ts"
import type { Stage } from "./stage.ts"
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
  options: BringOptions = {},
): Promise<ModelSource[]> {
  const { onNote = () => {} } = options
  const ready: ModelSource[] = []
  for (const source of await broughtModels(stage, resources, options)) {
    ready.push(await prepared(source, { ...runtimeOptions(stage, resources), onStage: onNote }))
  }
  return ready
}

/** Downloads what is missing. */
export function broughtModels(
  stage: Job["stage"],
  resources: Resources,
  { pull = pullFromHub, signal, onNote = () => {} }: BringOptions,
): Promise<ModelSource[]> {
  return foundModels(stage, resources, {
    onNote,
    pull: (source, { select }) => pull(source, { ...(select && { select }), signal }),
  })
}

function foundModels(
  stage: Job["stage"],
  resources: Resources,
  options: Pick<ResolveOptions, "pull" | "onNote">,
): Promise<ModelSource[]> {
  const runtime = runtimeOptions(stage, resources)
  return resolveModels(stage.modelName, stage.pretrained ?? undefined, {
    dtype: onnxDtype(runtime),
    wantsCheckpoint: wantsCheckpoint(runtime),
    ...options,
  })
}

/**
 * What `openStage` would call the models now, told from their files, or why that would take long: files to be brought
 * from the hub, or larger than is read in a second.
 */
export async function identityFromFiles(
  job: Job,
  resources: Resources,
): Promise<{ readonly identity: string } | { readonly unknown: string }> {
  const { stage } = job
  const pull = (source: string) => Promise.reject(new UserError(`${source} is not a path of this machine`))
  try {
    const sources = await foundModels(stage, resources, { pull, onNote: () => {} })
    const large = sources.find((source) => !isSmall(source))
    if (large) return { unknown: `${large.name} is large` }
    return { identity: await identityOf(job, sources, runtimeOptions(stage, resources)) }
  } catch (error) {
    if (error instanceof UserError) return { unknown: error.message }
    throw error
  }
}

async function identityOf(job: Job, sources: readonly ModelSource[], options: RuntimeOptions): Promise<string> {
  const { stage } = job
  if (stage.kind === "embedding") return teachersIdentity(sources, options)
  const members: { readonly identity: string }[] = []
  for (const source of sources) {
    await using captioner = await openCaptioner(source, { ...options, generation: drawingOf(job, stage) })
    members.push({ identity: captioner.identity })
  }
  return ensembleIdentity(members)
}

/** Bytes of a checkpoint or of towers that are read to tell what they are. */
const smallBytes = 256 * 2 ** 20

/** Whether its files are hashed in about a second; a folder of our own layout lists their hashes. */
function isSmall({ kind, path }: ModelSource): boolean {
  if (kind === "checkpoint") return statSync(path).size <= smallBytes
  if (existsSync(join(path, manifestFile))) return true
  const files = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  const sizes = files.map((entry) => statSync(join(entry.parentPath, entry.name)).size)
  return sizes.reduce((sum, size) => sum + size, 0) <= smallBytes
}

export function openStage(job: Job, models: readonly ModelSource[], resources: Resources): Promise<Stage> {
  const { stage } = job
  return stage.kind === "caption"
    ? openCaptions(job, stage, models, resources)
    : openEmbeddings(job, stage, models, resources)
}

async function openCaptions(job: Job, stage: CaptionJob, models: readonly ModelSource[], resources: Resources) {
  const { suffixes } = stage
  const generation = drawingOf(job, stage)
  const captioners = []
  for (const [i, model] of models.entries()) {
    const captioner = await openCaptioner(model, { ...runtimeOptions(stage, resources), generation })
    captioners.push({ captioner, key: `syn_text${suffixes[i]}` })
  }
  return new CaptionStage({ captioners, batchSize: resources.batchSize, ...picturesOf(job) })
}

/** A job says what it wants otherwise than by default. */
function drawingOf({ seed }: Job, { perImage, whole, generate }: CaptionJob) {
  return { ...generationOf(captionDefaults), ...generate, perImage, whole, seed }
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

/** How this machine runs the models of a stage. */
export function runtimeOptions({ dtype }: Job["stage"], { runtime, device, threads }: Resources): RuntimeOptions {
  return { device, threads, ...(runtime && { runtime }), ...(dtype && { dtype }) }
}
