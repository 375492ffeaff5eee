/**
 * A run from a recipe, in this process or as one of several: data, weights to start from, teachers, evaluation, checkpoints,
 * log and report in its folder, and the model directory at the end.
 */
import { basename, resolve } from "node:path"
import * as torch from "../../../torch/index.ts"
import { UserError } from "../../core/errors.ts"
import { type ModelConfig, type ModelName, modelNamed } from "../../core/family/variants.ts"
import { noProgress, type StartProgress } from "../../core/progress.ts"
import { Tokenizer } from "../../core/text/tokenizer.ts"
import { detectFormat } from "../../data/training/sources/source.ts"
import { openTrainingData } from "../../data/training/training-data.ts"
import { openTasks, type Scores, type TaskList } from "../../evaluate/task-list.ts"
import { checkModelDirectory } from "../../export/model-files.ts"
import { lockFolder } from "../../host/locks/lock.ts"
import { version } from "../../host/version.ts"
import { type PullWeights, pull as pullFromHub } from "../../hub/pull.ts"
import { buildModel, type CheckpointInfo, isCoca } from "../../model/checkpoint/checkpoint.ts"
import { thisMachine } from "../../report/machine.ts"
import { checkDevice } from "../../tensor/torch.ts"
import { TorchEncoder } from "../../tensor/torch-encoder.ts"
import { exportCheckpoint } from "../../weights/export-checkpoint.ts"
import { checkpointInfo } from "../../weights/open-checkpoint.ts"
import { readStartModel, type StartModel } from "../../weights/start-model.ts"
import type { Settings } from "../checkpoints/state.ts"
import { isFirstRank, type ProcessGroup, processGroupFromEnvironment } from "../distributed/process-group.ts"
import { totalLoss } from "../log/entries.ts"
import type { OnlineTeachers } from "../online-teachers.ts"
import { saveRecipe } from "../recipe/load.ts"
import { runLength } from "../recipe/run-length.ts"
import { modelOfStart, type Recipe } from "../recipe/schema.ts"
import { trainConfigOf, trainingDataOf } from "../recipe/settings.ts"
import { openTeachers, teacherFiles, teacherWeights } from "./recipe-teachers.ts"
import { existingCheckpoint, type RunFolder, ranksSetting } from "./resume.ts"
import { badText, joinTraining, runTraining, type TrainingRun } from "./run-directory.ts"
import { startFrom } from "./start.ts"

export interface RecipeRunOptions {
  /** Folder of the run. */
  readonly out: string
  /** Model directory that is written at the end; null: none. */
  readonly exportTo?: string | null
  /** "latest", the path of a checkpoint, or null to begin. */
  readonly resume?: string | null
  /** Whether a run may go on with other data than it was begun with. */
  readonly otherData?: boolean
  readonly device?: "cpu" | "cuda" | "mps"
  /** Processor threads of this process. Default: libtorch's. */
  readonly threads?: number
  /** Steps that share a line of the metrics. */
  readonly logEvery?: number
  readonly startProgress?: StartProgress
  /** Downloads what the run starts from, where that is a name. Default: from the hub, without progress. */
  readonly pull?: PullWeights
  /** Gets a line about what is left out, or has changed. */
  readonly onNote?: (line: string) => void
  /** Called when all processes have joined. Its abort ends the run after the current step, with a checkpoint. */
  readonly signal?: () => AbortSignal
}

type ResolvedOptions = Required<RecipeRunOptions>

export const recipeRunDefaults = {
  ...{ exportTo: null, resume: null, otherData: false, device: "cpu", logEvery: 1, startProgress: noProgress },
  ...{ pull: pullFromHub, onNote() {}, signal: () => new AbortController().signal },
} as const satisfies Partial<RecipeRunOptions>

export interface RecipeRunSummary {
  /** `model.safetensors`, the average where the run keeps one. */
  readonly checkpoint: string
  readonly steps: number
  readonly samplesSeen: number
  readonly samplesPerSecond: number
  readonly finalLoss: number
  /** Samples that could not be used, by reason. */
  readonly badSamples?: Readonly<Record<string, number>>
  readonly exported?: string
  /** The last evaluation, 0 to 1 by task. */
  readonly zeroShot?: Scores
}

/**
 * Trains what the recipe says. In a process that is not the first of its group the result is null, and nothing is written.
 *
 * @throws UserError where the folder holds another run, or the data cannot be read, or differ from those the run began with
 * @throws the signal's reason where the run was stopped; then its state is saved
 */
export async function trainRecipe(recipe: Recipe, given: RecipeRunOptions): Promise<RecipeRunSummary | null> {
  const options: ResolvedOptions = { ...recipeRunDefaults, threads: torch.threads(), ...given }
  const { out, device, onNote } = options
  checkDevice(device)
  checkAutocast(options, recipe)
  await checkExport(options)
  // The others wait while the first process evaluates.
  const timeoutSeconds = recipe.evaluate.tasks === null ? 600 : 6 * 3600
  const group = processGroupFromEnvironment({ device, timeoutSeconds })
  try {
    // Not before all have joined: a process that waits for the others cannot react, and a signal should end it at once.
    const signal = options.signal()
    using _ = isFirstRank(group) ? await lockFolder(out, "mobileclip train", signal) : null
    const existing = await existingCheckpoint({ ...folderOf(options), files: [...ownFiles, "report.html"] })
    const tasks = recipe.evaluate.tasks === null ? null : await openTasks(recipe.evaluate.tasks)
    // Before a download.
    await detectFormat(trainingDataOf(recipe).source)
    // A run that is resumed has its weights in its checkpoint.
    const weights = existing === null ? await startOf(recipe, { pull: options.pull, signal }) : null
    const untrained = infoOf(recipe, existing === null ? (weights?.info ?? null) : checkpointInfo(existing))
    const start = weights && startFrom(recipe.start!, weights, untrained, recipe.seed)
    const info = start ? { ...untrained, license: start.license } : untrained
    const data = await openTrainingData({ ...trainingDataOf(recipe), ...loaderOf(recipe, options, info, group) })
    let teachers: OnlineTeachers | null = null
    if (isFirstRank(group)) data.notes.forEach(onNote)
    try {
      const files = await teacherFiles(recipe, { pull: options.pull, signal })
      teachers = await openTeachers(files, recipe, info, group?.device ?? device)
      const identities = { data: data.identity, ...(await teacherWeights(files)) }
      const run = await describeRun(recipe, options, info, { samples: data.samples, identities, tasks }, group, signal)
      return await train(
        {
          ...run,
          ...(start && { start: start.tensors }),
          bad: data.bad,
          batches: (first) => teachers?.embed(data.batches(first)) ?? data.batches(first),
          note: onNote,
        },
        options.exportTo,
      )
    } finally {
      teachers?.free()
      await data.close()
      if (data.bad.count > 0 && isFirstRank(group))
        onNote(`samples that could not be used and were replaced: ${badText(data.bad)}`)
      if (data.cutOff > 0) onNote(`${data.cutOff} pictures are cut off, and were used as far as they go`)
    }
  } finally {
    group?.close()
  }
}

/** Pairs in the data of a recipe; null where shards are drawn and their samples are not counted. */
export async function countSamples(
  recipe: Recipe,
  options: Pick<ResolvedOptions, "device" | "threads">,
): Promise<number | null> {
  const info = infoOf(recipe, recipe.model === modelOfStart ? (await startOf(recipe))!.info : null)
  const data = await openTrainingData({ ...trainingDataOf(recipe), ...loaderOf(recipe, options, info, null) })
  await data.close()
  return data.samples
}

/** Checks before a long run that its model directory can be written at the end. Throws UserError where it cannot. */
export async function checkExport({ out, exportTo }: Pick<ResolvedOptions, "out" | "exportTo">): Promise<void> {
  if (exportTo === null) return
  if (resolve(exportTo) === resolve(out))
    throw new UserError(
      `--export and --out both name ${exportTo}`,
      "give the model directory another, such as a folder in --out",
    )
  await checkModelDirectory(exportTo)
}

async function train(run: TrainingRun, exportTo: string | null): Promise<RecipeRunSummary | null> {
  if (!isFirstRank(run.group)) {
    await joinTraining(run)
    return null
  }
  const { info, step, steps, evaluations, checkpoint, samplesPerSecond } = await runTraining(run)
  if (exportTo !== null) await exportCheckpoint(checkpoint, exportTo, "mobileclip train --export", run.signal)
  return {
    checkpoint,
    steps: step,
    samplesSeen: info.samplesSeen,
    samplesPerSecond,
    finalLoss: totalLoss(steps.at(-1)!),
    ...(run.bad && run.bad.count > 0 && { badSamples: Object.fromEntries(run.bad.reasons) }),
    ...(exportTo !== null && { exported: exportTo }),
    ...(evaluations.length > 0 && { zeroShot: evaluations.at(-1)!.tasks }),
  }
}

async function describeRun(
  recipe: Recipe,
  options: ResolvedOptions,
  info: CheckpointInfo<ModelConfig>,
  {
    samples,
    identities,
    tasks,
  }: { readonly samples: number | null; readonly identities: Settings; readonly tasks: TaskList | null },
  group: ProcessGroup | null,
  signal: AbortSignal,
): Promise<Omit<TrainingRun, "batches" | "bad">> {
  const { device, threads } = options
  const length = runLength(recipe, samples)
  const config = trainConfigOf(recipe, { steps: length.steps, device, threads })
  return {
    ...folderOf(options),
    files: ownFiles,
    isLocked: true,
    info,
    config: {
      ...config,
      syncBatchNorm: recipe.syncBatchNorm,
      data: { ...config.data, ...identities, [ranksSetting]: group?.size ?? 1 },
    },
    ...(tasks && { evaluate: ({ model, interpreter }) => tasks.score(new TorchEncoder(model, interpreter, info)) }),
    keep: recipe.save.keep,
    otherData: options.otherData,
    // Only when the run may begin or go on, so that another run's recipe is not replaced.
    prepare: () => saveRecipe(options.out, recipe),
    logEvery: options.logEvery,
    report: {
      name: basename(resolve(options.out)),
      recipe: { ...recipe, model: info.name },
      steps: length.steps,
      ...chances(tasks),
      facts: facts(info),
    },
    startProgress: options.startProgress,
    signal,
    ...(group && { group }),
  }
}

/** Files beside those of every run and the report. */
const ownFiles = ["config.json"] as const

function folderOf({ out, resume }: ResolvedOptions): RunFolder {
  return {
    directory: out,
    existing: resume === null ? "refuse" : "require",
    ...(resume !== null && resume !== "latest" && { resumeFrom: resume }),
  }
}

function chances(tasks: TaskList | null) {
  return tasks ? { chance: tasks.chance } : {}
}

function facts({ name, config }: CheckpointInfo<ModelConfig>): [string, string][] {
  const { cpu, cores, memoryGB } = thisMachine()
  const parameters = buildModel(config).learnedSize()
  return [
    ["model", `${name}, ${(parameters / 1e6).toFixed(2)} M parameters`],
    ["machine", `${cpu}, ${cores} cores, ${memoryGB} GB`],
    ["versions", `mobileclip ${version()}, libtorch ${torch.version()}, Node ${process.versions.node}`],
  ]
}

/** Null where the weights are initialised. */
async function startOf(
  { start, model }: Recipe,
  options: Parameters<typeof readStartModel>[2] = {},
): Promise<StartModel | null> {
  return start === null ? null : readStartModel(start, model === modelOfStart ? null : model, options)
}

function loaderOf(
  { data }: Recipe,
  options: Pick<ResolvedOptions, "device" | "threads">,
  info: CheckpointInfo<ModelConfig>,
  group: ProcessGroup | null,
) {
  return {
    rank: group?.rank ?? 0,
    ranks: group?.size ?? 1,
    preprocessing: info.preprocessing,
    tokenizer: new Tokenizer(),
    contextLength: info.config.text.contextLength,
    workers: data.workers ?? workersFor(options),
    prefetch: 3,
  }
}

/** A processor that trains has one thread to spare; beside a GPU most of the processor's threads are idle. */
export function workersFor({ device, threads }: Pick<ResolvedOptions, "device" | "threads">): number {
  return device === "cpu" ? 1 : Math.min(8, Math.max(1, threads - 1))
}

/**
 * The untrained model of a recipe, with SigLIP's bias where its loss has one.
 *
 * @param given that of the weights to begin with, or of the run that goes on
 */
function infoOf(
  { model: name, loss }: Pick<Recipe, "model" | "loss">,
  given: CheckpointInfo<ModelConfig> | null,
): CheckpointInfo<ModelConfig> {
  const { name: known, config: model, preprocessing } = name === modelOfStart ? given! : tableInfo(name)
  checkCaptioner(known, model, loss)
  const config = loss.kind === "siglip" && !isCoca(model) ? { ...model, logitBias: true as const } : model
  return { name: known, config, preprocessing, license: "your own", samplesSeen: 0 }
}

function tableInfo(name: string): Pick<CheckpointInfo<ModelConfig>, "name" | "config" | "preprocessing"> {
  const { model: config, preprocessing } = modelNamed(name as ModelName)
  return { name, config, preprocessing }
}

function checkCaptioner(name: string, config: ModelConfig, { kind }: Recipe["loss"]): void {
  if (isCoca(config) === (kind === "coca")) return
  throw new UserError(
    `${name} ${isCoca(config) ? "writes captions" : "does not write captions"}, and loss.kind is ${kind}`,
    isCoca(config) ? "set loss.kind=coca" : "choose another loss, or begin with a captioner",
  )
}

function checkAutocast({ device }: Pick<ResolvedOptions, "device">, { precision }: Recipe): void {
  if (device === "mps" && precision !== "fp32") {
    throw new UserError("autocast is not available on mps", "use --precision fp32 with --device mps")
  }
}
