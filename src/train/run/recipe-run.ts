/**
 * A run from a recipe, in this process or as one of several: data, weights to start from, teachers, evaluation, checkpoints,
 * log and report in its folder, and the model directory at the end.
 */
import { basename, join, resolve } from "node:path"
import * as torch from "../../../torch/index.ts"
import { UserError } from "../../core/errors.ts"
import { type ModelConfig, type ModelName, modelNamed } from "../../core/family/variants.ts"
import { precisionOf } from "../../core/precision.ts"
import { noProgress, type StartProgress } from "../../core/progress.ts"
import { Tokenizer } from "../../core/text/tokenizer.ts"
import { mostRemembered } from "../../data/training/bad-samples.ts"
import { detectFormat } from "../../data/training/sources/source.ts"
import { openTrainingData, type TrainingData } from "../../data/training/training-data.ts"
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
import { type Origin, trainedLicense } from "../../weights/license.ts"
import { checkpointInfo } from "../../weights/open-checkpoint.ts"
import { readStartModel, type StartModel, startModelInfo } from "../../weights/start-model.ts"
import type { Settings } from "../checkpoints/state.ts"
import { isFirstRank, type ProcessGroup, processGroupFromEnvironment } from "../distributed/process-group.ts"
import { totalLoss } from "../log/entries.ts"
import { emaNote } from "../optimizer/ema.ts"
import { saveRecipe } from "../recipe/load.ts"
import { isReinforced } from "../recipe/resolved.ts"
import { runLength } from "../recipe/run-length.ts"
import { modelOfStart, type Recipe } from "../recipe/schema.ts"
import { trainConfigOf, trainingDataOf } from "../recipe/settings.ts"
import { openTeachers, teacherFiles, teacherWeights } from "./recipe-teachers.ts"
import { existingCheckpoint, type RunFolder, ranksSetting } from "./resume.ts"
import { joinTraining, runTraining, type TrainingRun } from "./run-directory.ts"
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
  /** What the user calls the licence of the trained model; null: "your own", or that of the weights it begins with. */
  readonly license?: string | null
  /** Opens the tasks that the recipe names. Default: `openTasks`. */
  readonly openTasks?: (path: string) => Promise<TaskList>
  /** Downloads what the run starts from, where that is a name. Default: from the hub, without progress. */
  readonly pull?: PullWeights
  /** Gets a line about what is left out, or has changed. */
  readonly onNote?: (line: string) => void
  /** Called when all processes have joined. Its abort ends the run after the current step, with a checkpoint. */
  readonly signal?: () => AbortSignal
}

type ResolvedOptions = Required<RecipeRunOptions>

export const recipeRunDefaults = {
  ...{
    exportTo: null,
    resume: null,
    otherData: false,
    license: null,
    device: "cpu",
    logEvery: 1,
    startProgress: noProgress,
  },
  ...{ pull: pullFromHub, onNote() {}, signal: () => new AbortController().signal, openTasks },
} as const satisfies Partial<RecipeRunOptions>

export interface RecipeRunSummary {
  /** The name of the model that was trained, also where the recipe says "start". */
  readonly model: string
  /** `model.safetensors`, the average where the run keeps one. */
  readonly checkpoint: string
  readonly steps: number
  /** The step that this process went on from: 0 where it began the run, `steps` where the run was finished before. */
  readonly resumedAt: number
  readonly samplesSeen: number
  readonly samplesPerSecond: number
  readonly finalLoss: number
  /** How often a synthetic caption took the place of the real one; 1: always; null: it stood beside it, or there was none. */
  readonly mixSynthetic: number | null
  /** Samples that could not be used, by reason. */
  readonly badSamples?: Readonly<Record<string, number>>
  readonly exported?: string
  /** The last evaluation, 0 to 1 by task. */
  readonly zeroShot?: Scores
  /** The same by guessing. */
  readonly chance?: Scores
  /** The page about the run. */
  readonly report: string
  /** The folder of TensorBoard's events. */
  readonly tensorboard: string
}

/**
 * Trains what the recipe says. In a process that is not the first of its group the result is null, and nothing is written.
 *
 * @throws UserError where the folder holds another run, or the data cannot be read, or differ from those the run began with
 * @throws the signal's reason where the run was stopped; then its state is saved
 */
export async function trainRecipe(recipe: Recipe, given: RecipeRunOptions): Promise<RecipeRunSummary | null> {
  const options: ResolvedOptions = { ...recipeRunDefaults, threads: torch.threads(), ...given }
  const { device } = options
  checkDevice(device)
  checkAutocast(options, recipe)
  await checkExport(options)
  // The others wait while the first process evaluates.
  const timeoutSeconds = recipe.evaluate.tasks === null ? 600 : 6 * 3600
  const group = processGroupFromEnvironment({ device, timeoutSeconds })
  try {
    return await trainInGroup(recipe, options, group)
  } finally {
    group?.close()
  }
}

async function trainInGroup(
  recipe: Recipe,
  options: ResolvedOptions,
  group: ProcessGroup | null,
): Promise<RecipeRunSummary | null> {
  // Not before all have joined: a process that waits for the others cannot react, and a signal should end it at once.
  const signal = options.signal()
  using _ = isFirstRank(group) ? await lockFolder(options.out, "mobileclip train", signal) : null
  const existing = await existingCheckpoint({ ...folderOf(options), files: [...ownFiles, "report.html"] })
  if (existing !== null) checkLicense(options, checkpointInfo(existing))
  const tasks = recipe.evaluate.tasks === null ? null : await options.openTasks(recipe.evaluate.tasks)
  // Before a download.
  await detectFormat(trainingDataOf(recipe).source)
  // A run that is resumed has its weights in its checkpoint.
  const weights = existing === null ? await startOf(recipe, { pull: options.pull, signal }) : null
  const info = infoOf(recipe, existing === null ? (weights?.info ?? null) : checkpointInfo(existing))
  const start = weights && startFrom(recipe.start!, weights, info, recipe.seed)
  const origin = start ? { name: recipe.start!, license: start.license } : null
  const data = await openTrainingData({
    ...{ ...trainingDataOf(recipe), ...loaderOf(recipe, options, info, group), signal },
    ...(isFirstRank(group) && { startProgress: options.startProgress }),
  })
  const context: RunContext = { recipe, options, info, group, signal }
  try {
    return await trainOn(data, context, { tasks, origin, start: start?.tensors })
  } finally {
    await data.close()
    noteUnused(data, context)
  }
}

/** A run that goes on keeps the licence that its first process recorded. */
function checkLicense({ license, out }: ResolvedOptions, recorded: CheckpointInfo<ModelConfig>): void {
  if (license === null || license === recorded.license) return
  throw new UserError(
    `the run in ${out} was begun with the licence "${recorded.license}"`,
    "leave out --license; `mobileclip export --license` records another where the weights allow it",
  )
}

interface Beginning {
  readonly tasks: TaskList | null
  /** The weights that the run begins with; null where there are none, or it goes on. */
  readonly origin: Origin | null
  readonly start: TrainingRun["start"]
}

async function trainOn(
  data: TrainingData,
  context: RunContext,
  { tasks, origin, start }: Beginning,
): Promise<RecipeRunSummary | null> {
  const { recipe, options, group, signal } = context
  const { device, onNote, exportTo, pull } = options
  if (isFirstRank(group)) dataNotes(data, recipe).forEach(onNote)
  const files = await teacherFiles(recipe, { pull, signal })
  const info = { ...context.info, license: trainedLicense({ own: options.license, start: origin, teachers: files }) }
  const teachers = await openTeachers(files, recipe, info, group?.device ?? device)
  try {
    const identities = { data: data.identity, ...data.orderSettings, ...(await teacherWeights(files)) }
    const run = await describeRun({ ...context, info }, { samples: data.samples, identities, tasks })
    noteAverage(run.config, context)
    const batches = (first: number) => teachers?.embed(data.batches(first)) ?? data.batches(first)
    const made = await train({ ...run, ...(start && { start }), bad: data.bad, batches, note: onNote }, exportTo)
    return made && { ...made, mixSynthetic: data.mixSynthetic }
  } finally {
    teachers?.free()
  }
}

function noteAverage(
  { ema: decay, emaWarmup: warmup, steps }: TrainingRun["config"],
  { group, options: { onNote } }: RunContext,
): void {
  const note = decay === undefined ? null : emaNote(steps, { decay, warmup })
  if (note !== null && isFirstRank(group)) onNote(note)
}

/** What the data are, and that teachers' knowledge in them has no effect on a plain loss. */
function dataNotes({ notes }: TrainingData, recipe: Recipe): readonly string[] {
  if (!isReinforced(recipe) || recipe.loss.kind !== "clip") return notes
  const how = "loss.kind=distill 'loss.teacherScales=[70]', with a scale for each teacher, learns from them"
  return [...notes, `stored embeddings of teachers are not used, because loss.kind is clip; ${how}`]
}

function noteUnused({ bad, cutOff }: TrainingData, { recipe, group, options: { onNote } }: RunContext): void {
  if (bad.count > 0 && isFirstRank(group))
    onNote(`samples that could not be used and were replaced: ${bad.count}: ${bad.summary()}`)
  if (bad.passedOver > 0 && isFirstRank(group)) onNote(passedOverText(recipe, bad.passedOver))
  if (cutOff > 0) onNote(`${cutOffText(cutOff)} pictures are cut off, and were used as far as they go`)
}

function cutOffText(count: number): string {
  return count < mostRemembered ? String(count) : `at least ${count}`
}

/** What is known of a run when its data and teachers are open. */
interface RunFacts {
  /** Pairs in the data; null where shards are drawn. */
  readonly samples: number | null
  readonly identities: Settings
  readonly tasks: TaskList | null
}

/** What every part of a run asks for. */
interface RunContext {
  readonly recipe: Recipe
  readonly options: ResolvedOptions
  readonly info: CheckpointInfo<ModelConfig>
  readonly group: ProcessGroup | null
  readonly signal: AbortSignal
}

interface PlanOptions extends Pick<ResolvedOptions, "device" | "threads" | "pull" | "resume" | "onNote"> {
  /** Folder of the run; null: not known yet. */
  readonly out: string | null
  readonly signal: AbortSignal
}

interface PlannedRun {
  readonly model: CheckpointInfo<ModelConfig>
  /** Pairs in the data; null where they need not be counted, or shards are drawn. */
  readonly samples: number | null
  /** With the use of synthetic captions that the data decide. */
  readonly recipe: Recipe
}

/**
 * What a plan asks of a recipe's model and data. The model is from the tables, from the run that goes on, or from the weights
 * to begin with, which are pulled where they are named.
 *
 * @throws UserError where data or weights are not to be had, or the model does not go with the recipe's loss
 */
export async function plannedRun(recipe: Recipe, options: PlanOptions): Promise<PlannedRun> {
  const isKnown = recipe.data.train === null || recipe.data.samples !== null
  // Before a download.
  if (!isKnown) await detectFormat(trainingDataOf(recipe).source)
  const model = infoOf(recipe, recipe.model === modelOfStart ? await plannedModel(recipe, options) : null)
  return { model, ...(isKnown ? { recipe, samples: null } : await lookedInto(recipe, model, options)) }
}

/** A run that goes on has its model in its checkpoint, and does not need the weights that it began with. */
async function plannedModel(
  { start }: Recipe,
  { out, resume, pull, signal }: PlanOptions,
): Promise<CheckpointInfo<ModelConfig>> {
  if (resume === null || out === null) return startModelInfo(start!, null, { pull, signal })
  const existing = await existingCheckpoint(folderOf({ out, resume }))
  return checkpointInfo(existing!)
}

async function lookedInto(
  recipe: Recipe,
  info: CheckpointInfo<ModelConfig>,
  options: PlanOptions,
): Promise<Pick<PlannedRun, "recipe" | "samples">> {
  const data = await openTrainingData({
    ...{ ...trainingDataOf(recipe), ...loaderOf(recipe, options, info, null), signal: options.signal },
  })
  await data.close()
  dataNotes(data, recipe).forEach(options.onNote)
  return { recipe: { ...recipe, data: { ...recipe.data, mixSynthetic: data.mixSynthetic } }, samples: data.samples }
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

async function train(
  run: TrainingRun,
  exportTo: string | null,
): Promise<Omit<RecipeRunSummary, "mixSynthetic"> | null> {
  if (!isFirstRank(run.group)) {
    await joinTraining(run)
    return null
  }
  const { info, step, steps, evaluations, checkpoint, samplesPerSecond, resumedAt } = await runTraining(run)
  if (exportTo !== null) {
    await exportCheckpoint(checkpoint, { out: exportTo, command: "mobileclip train --export", signal: run.signal })
  }
  return {
    ...{ model: info.name, checkpoint },
    ...{ steps: step, resumedAt },
    samplesSeen: info.samplesSeen,
    samplesPerSecond,
    finalLoss: totalLoss(steps.at(-1)!),
    ...(run.bad && run.bad.count > 0 && { badSamples: Object.fromEntries(run.bad.reasons) }),
    ...(exportTo !== null && { exported: exportTo }),
    ...(evaluations.length > 0 && { zeroShot: evaluations.at(-1)!.tasks }),
    ...(evaluations.length > 0 && run.report?.chance && { chance: run.report.chance }),
    report: join(run.directory, "report.html"),
    tensorboard: join(run.directory, "tensorboard"),
  }
}

function passedOverText({ data: { resampled, minImageSize } }: Recipe, count: number): string {
  const what = resampled ? "draws of" : "samples of an epoch, with"
  return `${count} ${what} pictures smaller than ${minImageSize} pixels were replaced by others (data.minImageSize)`
}

async function describeRun(
  { recipe, options, info, group, signal }: RunContext,
  { samples, identities, tasks }: RunFacts,
): Promise<Omit<TrainingRun, "batches" | "bad">> {
  const { device, threads } = options
  const length = runLength(recipe, samples)
  if (isFirstRank(group)) tasks?.notes.forEach(options.onNote)
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
      directory: options.out,
      ...(options.exportTo !== null && { exported: options.exportTo }),
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

function folderOf({ out, resume }: Pick<ResolvedOptions, "out" | "resume">): RunFolder {
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
  if (precision === "fp32") return
  if (device === "mps")
    throw new UserError("autocast is not available on mps", "use --precision fp32 with --device mps")
  const dtype = precisionOf(precision)
  if (torch.hasAutocast({ device, dtype })) return
  throw new UserError(
    `precision ${precision} is not possible on ${device} with libtorch ${torch.version()}`,
    "use --precision amp_bf16 or fp32, or a newer libtorch",
  )
}
