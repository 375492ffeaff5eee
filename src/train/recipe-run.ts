/**
 * A run from a recipe, in this process or as one of several: data, weights to start from, running teachers, evaluation,
 * checkpoints, log and report in its folder, and the model directory at the end.
 */
import { existsSync } from "node:fs"
import { basename, resolve } from "node:path"
import * as torch from "../../torch/index.ts"
import { UserError } from "../core/errors.ts"
import { type ModelConfig, type ModelName, modelNamed } from "../core/family/variants.ts"
import { noProgress, type StartProgress } from "../core/progress.ts"
import { Tokenizer } from "../core/text/tokenizer.ts"
import { openTrainingData } from "../data/training/training-data.ts"
import { openTasks, type Scores, type TaskList } from "../evaluate/task-list.ts"
import { checkModelDirectory } from "../export/model-files.ts"
import { sha256OfFile } from "../host/hash.ts"
import { lockFolder } from "../host/lock.ts"
import { version } from "../host/version.ts"
import { weightsFile } from "../hub/choose-weights.ts"
import { type PullWeights, pull as pullFromHub } from "../hub/pull.ts"
import { buildModel, type CheckpointInfo, isCoca } from "../model/checkpoint.ts"
import { thisMachine } from "../report/machine.ts"
import { checkDevice } from "../tensor/torch.ts"
import { exportCheckpoint } from "../weights/export-checkpoint.ts"
import { withWeights } from "../weights/weights.ts"
import { type ProcessGroup, processGroupFromEnvironment } from "./distributed/process-group.ts"
import { liveEncoder } from "./live-encoder.ts"
import { totalLoss } from "./log/entries.ts"
import { OnlineTeachers } from "./online-teachers.ts"
import { saveRecipe } from "./recipe/load.ts"
import { runLength } from "./recipe/run-length.ts"
import type { Recipe } from "./recipe/schema.ts"
import { trainConfigOf, trainingDataOf } from "./recipe/settings.ts"
import {
  badText,
  existingCheckpoint,
  joinTraining,
  ranksSetting,
  runTraining,
  type TrainingRun,
} from "./run-directory.ts"
import { readStart } from "./start.ts"
import type { Settings } from "./state.ts"
import type { LiveModel } from "./train.ts"

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
  /** Brings what the run starts from, where that is a name. Default: from the hub, without a word. */
  readonly pull?: PullWeights
  /** Gets a line about what is left out, or not as it was. */
  readonly onNote?: (line: string) => void
  /** Asked for once all processes are there; its abort saves after the current step and stops. */
  readonly signal?: () => AbortSignal
}

type Chosen = Required<RecipeRunOptions>

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
  /** By reason. */
  readonly badSamples?: Readonly<Record<string, number>>
  readonly exported?: string
  /** The last evaluation, 0 to 1 by task. */
  readonly zeroShot?: Scores
}

/**
 * Trains what the recipe says. In a process that is not the first of its group: null, and nothing is written.
 *
 * @throws UserError where the folder holds another run, the data are others than before, or cannot be read
 * @throws the signal's reason where it was stopped; the state is saved then
 */
export async function trainRecipe(recipe: Recipe, given: RecipeRunOptions): Promise<RecipeRunSummary | null> {
  const options: Chosen = { ...recipeRunDefaults, threads: torch.threads(), ...given }
  const { out, device, onNote } = options
  checkDevice(device)
  checkAutocast(options, recipe)
  await checkExport(options)
  // The others wait while the first process evaluates.
  const timeoutSeconds = recipe.evaluate.tasks === null ? 600 : 6 * 3600
  const group = processGroupFromEnvironment({ device, timeoutSeconds })
  try {
    // Not before: a process that waits for the others notices nothing, and is better ended than asked.
    const signal = options.signal()
    // Of all ranks the first one writes.
    using _ = isOther(group) ? null : await lockFolder(out, "mobileclip train", signal)
    await existingCheckpoint({ ...placeOf(options), files: [...ownFiles, "report.html"] })
    const untrained = infoOf(recipe)
    const start = await startOf(recipe, options, untrained, signal)
    const info = start ? { ...untrained, license: start.license } : untrained
    const data = await openTrainingData({ ...trainingDataOf(recipe), ...loaderOf(recipe, options, info, group) })
    let teachers: OnlineTeachers | null = null
    if (!isOther(group)) data.notes.forEach(onNote)
    try {
      teachers = await openTeachers(recipe, info, group?.device ?? device)
      const identities = { data: data.identity, ...(await teacherWeights(recipe)) }
      const run = await describeRun(recipe, options, info, { samples: data.samples, identities }, group, signal)
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
      if (data.bad.count > 0 && !isOther(group))
        onNote(`samples that could not be used and were replaced: ${badText(data.bad)}`)
      if (data.cutOff > 0) onNote(`${data.cutOff} pictures are cut off, and were used as far as they go`)
    }
  } finally {
    group?.close()
  }
}

/** Pairs in the data of a recipe; null where shards are drawn and nobody has counted them. */
export async function countSamples(
  recipe: Recipe,
  options: Pick<Chosen, "device" | "threads">,
): Promise<number | null> {
  const data = await openTrainingData({ ...trainingDataOf(recipe), ...loaderOf(recipe, options, infoOf(recipe), null) })
  await data.close()
  return data.samples
}

/** A run of days does not end in a folder that must not be written. Throws UserError where it would. */
export async function checkExport({ out, exportTo }: Pick<Chosen, "out" | "exportTo">): Promise<void> {
  if (exportTo === null) return
  if (resolve(exportTo) === resolve(out))
    throw new UserError(
      `--export and --out both name ${exportTo}`,
      "give the model directory another, such as a folder in --out",
    )
  await checkModelDirectory(exportTo)
}

async function train(run: TrainingRun, exportTo: string | null): Promise<RecipeRunSummary | null> {
  if (isOther(run.group ?? null)) {
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

/** A process that is not the first of its group. */
function isOther(group: ProcessGroup | null): boolean {
  return group !== null && group.rank > 0
}

async function describeRun(
  recipe: Recipe,
  options: Chosen,
  info: CheckpointInfo<ModelConfig>,
  { samples, identities }: { readonly samples: number | null; readonly identities: Settings },
  group: ProcessGroup | null,
  signal: AbortSignal,
): Promise<Omit<TrainingRun, "batches" | "bad">> {
  const { device, threads } = options
  const length = runLength(recipe, samples)
  const tasks = recipe.evaluate.tasks === null ? null : await openTasks(recipe.evaluate.tasks)
  const config = trainConfigOf(recipe, { steps: length.steps, device, threads })
  return {
    ...placeOf(options),
    files: ownFiles,
    isLocked: true,
    info,
    config: {
      ...config,
      syncBatchNorm: recipe.syncBatchNorm,
      data: { ...config.data, ...identities, [ranksSetting]: group?.size ?? 1 },
    },
    ...(tasks && { evaluate: (live) => tasks.score(encoderOf(live, info)) }),
    keep: recipe.save.keep,
    otherData: options.otherData,
    // Only where the run may begin or go on: another run's recipe stays.
    prepare: () => saveRecipe(options.out, recipe),
    logEvery: options.logEvery,
    report: {
      name: basename(resolve(options.out)),
      recipe,
      steps: length.steps,
      ...chances(tasks),
      facts: facts(info),
    },
    startProgress: options.startProgress,
    signal,
    ...(group && { group }),
  }
}

/** Beside those of every run and the report. */
const ownFiles = ["config.json"] as const

function placeOf({ out, resume }: Chosen): Pick<TrainingRun, "directory" | "existing" | "resumeFrom"> {
  return {
    directory: out,
    existing: resume === null ? "refuse" : "require",
    ...(resume !== null && resume !== "latest" && { resumeFrom: resume }),
  }
}

function encodeOptions(info: CheckpointInfo<ModelConfig>) {
  return [info.preprocessing, new Tokenizer()] as const
}

function encoderOf({ model, interpreter }: LiveModel, info: CheckpointInfo<ModelConfig>) {
  return liveEncoder(model, interpreter, ...encodeOptions(info))
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

/** A run that goes on has its weights in its checkpoint. */
function startOf(
  { start, seed }: Recipe,
  { resume, pull }: Chosen,
  info: CheckpointInfo<ModelConfig>,
  signal: AbortSignal,
) {
  return start === null || resume !== null ? null : readStart(start, info, seed, { signal, pull })
}

function loaderOf(
  { data }: Recipe,
  options: Pick<Chosen, "device" | "threads">,
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

/** A processor that trains has one thread to spare; beside a GPU most of its threads have nothing else to do. */
export function workersFor({ device, threads }: Pick<Chosen, "device" | "threads">): number {
  return device === "cpu" ? 1 : Math.min(8, Math.max(1, threads - 1))
}

async function openTeachers(recipe: Recipe, info: CheckpointInfo<ModelConfig>, device: torch.Device) {
  if (recipe.teachers.length === 0) return null
  const teachers = []
  for (const name of recipe.teachers) teachers.push(await readTeacher(name))
  const student = { preprocessing: info.preprocessing, contextLength: info.config.text.contextLength }
  const { chunkSize, precision } = trainConfigOf(recipe, { steps: 1, device })
  return new OnlineTeachers(teachers, student, {
    device,
    ...(chunkSize !== undefined && { chunkSize }),
    ...(precision !== undefined && { precision }),
  })
}

/** What the teachers are, whatever their files are called. */
async function teacherWeights({ teachers }: Recipe): Promise<Settings> {
  if (teachers.length === 0) return {}
  const hashes: string[] = []
  for (const name of teachers) hashes.push((await sha256OfFile(teacherFile(name))).slice(0, 16))
  return { teacherWeights: hashes.join(" ") }
}

function teacherFile(name: string): string {
  return existsSync(name) ? weightsFile(name) : name
}

/** The file is closed behind it, so all values are read now. */
function readTeacher(name: string) {
  return withWeights(teacherFile(name), null, async ({ model, info }) => {
    if (!("encodeText" in model)) throw new UserError(`${name} is an image tower alone`, "a teacher has both towers")
    for (const parameter of model.namedParameters().values()) {
      const values = parameter.read()
      parameter.source = () => values
    }
    return { name, model, preprocessing: info.preprocessing }
  })
}

/** The untrained model of a recipe: with SigLIP's bias where its loss has one. */
function infoOf({ model: name, loss }: Pick<Recipe, "model" | "loss">): CheckpointInfo<ModelConfig> {
  const { model, preprocessing } = modelNamed(name as ModelName)
  const config = loss.kind === "siglip" && !isCoca(model) ? { ...model, logitBias: true as const } : model
  return { name, config, preprocessing, license: "your own", samplesSeen: 0 }
}

function checkAutocast({ device }: Pick<Chosen, "device">, { precision }: Recipe): void {
  if (device === "mps" && precision !== "fp32") {
    throw new UserError("autocast is not available on mps", "use --precision fp32 with --device mps")
  }
}
