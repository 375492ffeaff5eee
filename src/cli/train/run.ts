/** `mobileclip train`: from the command line's arguments to a run, in this process or as one of several. */
import { existsSync } from "node:fs"
import { basename, dirname, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import * as torch from "../../../torch/index.ts"
import { UserError } from "../../core/errors.ts"
import { Tokenizer } from "../../core/tokenizer.ts"
import { type ModelConfig, type ModelName, modelNamed } from "../../core/variants.ts"
import { openTrainingData } from "../../data/training/training-data.ts"
import { exportModel } from "../../export/export.ts"
import { checkModelDirectory } from "../../export/model-files.ts"
import { makeDirectory } from "../../host/files.ts"
import { sha256OfFile } from "../../host/hash.ts"
import { lockFolder, lockPlace } from "../../host/lock.ts"
import { weightsFile } from "../../hub/choose-weights.ts"
import { buildModel, type CheckpointInfo, isCoca } from "../../model/checkpoint.ts"
import { threadsOfRank } from "../../train/distributed/environment.ts"
import { launch } from "../../train/distributed/launch.ts"
import { type ProcessGroup, processGroupFromEnvironment } from "../../train/distributed/process-group.ts"
import { liveEncoder } from "../../train/live-encoder.ts"
import { totalLoss } from "../../train/log/entries.ts"
import { OnlineTeachers } from "../../train/online-teachers.ts"
import { recipeJson, saveRecipe } from "../../train/recipe/load.ts"
import { runLength } from "../../train/recipe/run-length.ts"
import type { Recipe } from "../../train/recipe/schema.ts"
import { trainConfigOf, trainingDataOf } from "../../train/recipe/settings.ts"
import type { Settings } from "../../train/state.ts"
import type { LiveModel } from "../../train/train.ts"
import { sourceOf, withCheckpoint } from "../checkpoint.ts"
import { thisMachine } from "../machine.ts"
import { progressReporter } from "../progress.ts"
import { torchReference } from "../torch-reference.ts"
import { badText, joinTraining, ranksSetting, runTraining, type TrainingRun } from "../training.ts"
import { version } from "../version.ts"
import { withWeights } from "../weights.ts"
import type { Launch, TrainArguments } from "./arguments.ts"
import { dryRun } from "./dry-run.ts"
import { resolveRecipe } from "./resolve.ts"
import { readStart } from "./start.ts"
import { openTasks, type TaskList } from "./tasks.ts"

export interface TrainOutput {
  writeOut(text: string): void
  writeErr(text: string): void
}

/** @param argv the command's own words, for the processes that `--nproc` starts; returns the exit code */
export async function trainCommand(
  args: TrainArguments,
  argv: readonly string[],
  signal: () => AbortSignal,
  output: TrainOutput,
): Promise<number> {
  const recipe = await resolveRecipe(args)
  if (args.launch.printConfig) {
    output.writeOut(recipeJson(recipe))
    return 0
  }
  if (args.launch.dryRun) {
    await printPlan(recipe, args.launch, output)
    return 0
  }
  await checkExport(args.launch)
  return args.launch.nproc > 1
    ? launchRanks(args.launch, argv, output)
    : trainHere(recipe, withOwnThreads(args.launch, argv), signal, output)
}

/** A run of days does not end in a folder that must not be written. */
async function checkExport({ out, exportTo }: Launch): Promise<void> {
  if (exportTo === null) return
  if (resolve(exportTo) === resolve(out!))
    throw new UserError(
      `--export and --out both name ${exportTo}`,
      "give the model directory another, such as a folder in --out",
    )
  await checkModelDirectory(exportTo)
}

/** `--threads` is a process's own; without it the ranks of a machine share what it has. */
function withOwnThreads(options: Launch, argv: readonly string[]): Launch {
  if (argv.some((word) => word === "--threads" || word.startsWith("--threads="))) return options
  return { ...options, threads: threadsOfRank(process.env, options.threads) }
}

async function printPlan(recipe: Recipe, options: Launch, { writeOut }: TrainOutput): Promise<void> {
  const samples =
    recipe.data.train === null || recipe.data.samples !== null ? null : await countSamples(recipe, options)
  const { plan, text } = await dryRun(recipe, options, samples)
  writeOut(options.json ? `${JSON.stringify(plan, null, 2)}\n` : `${text()}\n`)
}

async function countSamples(recipe: Recipe, options: Launch): Promise<number | null> {
  const data = await openTrainingData({ ...trainingDataOf(recipe), ...loaderOf(recipe, options, infoOf(recipe), null) })
  await data.close()
  return data.samples
}

/** The same command once per process, which finds its rank in the environment. */
function launchRanks(options: Launch, argv: readonly string[], { writeErr }: TrainOutput): Promise<number> {
  checkCount(options, torch.devices())
  const own = withoutProcesses(argv)
  return launch({
    program: fileURLToPath(new URL("../../../../bin/mobileclip.js", import.meta.url)),
    args: ["train", ...own, ...(own.includes("--threads") ? [] : ["--threads", String(options.threads)])],
    processes: options.nproc,
    threads: options.threads * options.nproc,
    log: (line) => writeErr(`${line}\n`),
  })
}

/** However often it is there: of several the last one counted. */
export function withoutProcesses(argv: readonly string[]): string[] {
  return argv.filter((word, i) => word !== "--nproc" && argv[i - 1] !== "--nproc" && !word.startsWith("--nproc="))
}

async function trainHere(
  recipe: Recipe,
  options: Launch,
  interruption: () => AbortSignal,
  output: TrainOutput,
): Promise<number> {
  checkDevice(options, recipe)
  // The others wait while the first process evaluates.
  const timeoutSeconds = recipe.evaluate.tasks === null ? 600 : 6 * 3600
  const group = processGroupFromEnvironment({ device: options.device, timeoutSeconds })
  // Not before: a process that waits for the others notices nothing, and is better ended than asked.
  const signal = interruption()
  try {
    // Of all ranks the first one writes.
    using _ = (group?.rank ?? 0) === 0 ? await lockFolder(options.out!, "mobileclip train") : null
    const untrained = infoOf(recipe)
    const start = await startOf(recipe, options, untrained, signal, output)
    const info = start ? { ...untrained, license: start.license } : untrained
    const data = await openTrainingData({ ...trainingDataOf(recipe), ...loaderOf(recipe, options, info, group) })
    let teachers: OnlineTeachers | null = null
    if (!group || group.rank === 0) for (const note of data.notes) output.writeErr(`${note}\n`)
    try {
      teachers = await openTeachers(recipe, info, group?.device ?? options.device)
      const identities = { data: data.identity, ...(await teacherWeights(recipe)) }
      const run = await describeRun(recipe, options, info, { samples: data.samples, identities }, group, signal)
      await train(
        {
          ...run,
          ...(start && { start: start.tensors }),
          bad: data.bad,
          batches: (first) => teachers?.embed(data.batches(first)) ?? data.batches(first),
          note: (line) => output.writeErr(`${line}\n`),
        },
        options,
        output,
      )
    } finally {
      teachers?.free()
      await data.close()
      if (data.bad.count > 0 && !isOther(group))
        output.writeErr(`samples that could not be used and were replaced: ${badText(data.bad)}\n`)
      if (data.cutOff > 0) output.writeErr(`${data.cutOff} pictures are cut off, and were used as far as they go\n`)
    }
  } finally {
    group?.close()
  }
  return 0
}

async function train(run: TrainingRun, { json, exportTo }: Launch, { writeOut }: TrainOutput): Promise<void> {
  if (isOther(run.group ?? null)) return joinTraining(run)
  const { info, step, steps, evaluations, checkpoint, samplesPerSecond } = await runTraining(run)
  const summary = {
    checkpoint,
    steps: step,
    samplesSeen: info.samplesSeen,
    samplesPerSecond,
    finalLoss: totalLoss(steps.at(-1)!),
    ...(run.bad && run.bad.count > 0 && { badSamples: Object.fromEntries(run.bad.reasons) }),
    ...(exportTo !== null && { exported: exportTo }),
    ...(evaluations.length > 0 && { zeroShot: evaluations.at(-1)!.tasks }),
  }
  if (exportTo !== null) await exportCheckpoint(checkpoint, exportTo)
  writeOut(json ? `${JSON.stringify(summary, null, 2)}\n` : `${checkpoint}\n`)
}

/** A process that is not the first of its group. */
function isOther(group: ProcessGroup | null): boolean {
  return group !== null && group.rank > 0
}

/** A model directory, compared with the checkpoint. */
async function exportCheckpoint(checkpoint: string, directory: string) {
  await makeDirectory(dirname(resolve(directory)))
  using _ = await lockPlace(directory, "mobileclip train --export")
  return await withCheckpoint(checkpoint, async ({ model, info }) =>
    exportModel(model, info, directory, { source: await sourceOf(checkpoint), reference: torchReference(model) }),
  )
}

// ---------------------------------------------------------------------------------------------------- the parts

async function describeRun(
  recipe: Recipe,
  options: Launch,
  info: CheckpointInfo<ModelConfig>,
  { samples, identities }: { readonly samples: number | null; readonly identities: Settings },
  group: ProcessGroup | null,
  signal: AbortSignal,
): Promise<Omit<TrainingRun, "batches" | "bad">> {
  const directory = options.out!
  const { device, threads } = options
  const length = runLength(recipe, samples)
  const tasks = recipe.evaluate.tasks === null ? null : await openTasks(recipe.evaluate.tasks)
  const config = trainConfigOf(recipe, { steps: length.steps, device, threads })
  return {
    directory,
    isLocked: true,
    info,
    config: {
      ...config,
      syncBatchNorm: recipe.syncBatchNorm,
      data: { ...config.data, ...identities, [ranksSetting]: group?.size ?? 1 },
    },
    ...(tasks && { evaluate: (live) => tasks.score(encoderOf(live, info)) }),
    keep: recipe.save.keep,
    existing: options.resume === null ? "refuse" : "require",
    otherData: options.otherData,
    ...(options.resume !== null && options.resume !== "latest" && { resumeFrom: options.resume }),
    // Only where the run may begin or go on: another run's recipe stays.
    prepare: () => saveRecipe(directory, recipe),
    logEvery: options.logEvery,
    report: { name: basename(resolve(directory)), recipe, steps: length.steps, ...chances(tasks), facts: facts(info) },
    startProgress: progressReporter(options.progress),
    signal,
    ...(group && { group }),
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
  { resume }: Launch,
  info: CheckpointInfo<ModelConfig>,
  signal: AbortSignal,
  { writeErr }: TrainOutput,
) {
  return start === null || resume !== null ? null : readStart(start, info, seed, signal, writeErr)
}

function loaderOf({ data }: Recipe, options: Launch, info: CheckpointInfo<ModelConfig>, group: ProcessGroup | null) {
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
export function workersFor({ device, threads }: Pick<Launch, "device" | "threads">): number {
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

/** Each rank has a CUDA device of its own; the first that has none would fail where the others wait for it. */
export function checkCount(
  { nproc, device }: Pick<Launch, "nproc" | "device">,
  present: readonly torch.Device[],
): void {
  const count = present.filter((name) => name.startsWith("cuda")).length
  if (device !== "cuda" || nproc <= count) return
  throw new UserError(
    `--nproc ${nproc} takes ${nproc} CUDA devices, and this libtorch has ${count}`,
    count > 0 ? `choose --nproc ${count} or fewer` : `it has ${present.join(", ")}`,
  )
}

function checkDevice({ device }: Launch, { precision }: Recipe): void {
  const present = torch.devices()
  if (!present.some((name) => name === device || name.startsWith(`${device}:`))) {
    throw new UserError(`this libtorch has no device "${device}"`, `it has ${present.join(", ")}`)
  }
  if (device === "mps" && precision !== "fp32") {
    throw new UserError("autocast is not available on mps", "use --precision fp32 with --device mps")
  }
}
