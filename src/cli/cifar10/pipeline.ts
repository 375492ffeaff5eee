/**
 * Plain and reinforced training compared on real photographs. Teachers learn from precise captions of most training
 * pictures; few others, with careless captions, are reinforced with them by the real stage; the same student is trained on
 * these plain and reinforced, at equal samples. Each stage leaves files, so an interrupted run goes on where it was.
 */
import { join, resolve } from "node:path"
import * as torch from "../../../torch/index.ts"
import { makeDirectory, writeAtomically } from "../../host/files.ts"
import { commandLine, runStage } from "../comparison/stage.ts"
import { compareStudents, curveOf, type StudentComparison } from "../comparison/students.ts"
import type { ModelTraining } from "../comparison/train-model.ts"
import { trainModels } from "../comparison/train-models.ts"
import type { ProgressMode, StartProgress } from "../progress.ts"
import { Clock } from "../quickstart/clock.ts"
import { thisMachine } from "../quickstart/machine.ts"
import type { TrainingResult } from "../training.ts"
import { version } from "../version.ts"
import { classNames, templates } from "./classes.ts"
import { listPictures, writeCarelessShards, writePreciseList } from "./dataset.ts"
import { cifar10Info } from "./models.ts"
import type { Cifar10Recipe } from "./recipe.ts"
import { type Cifar10Report, captionExamples, writeCifar10Report } from "./report.ts"

export interface Cifar10Options {
  /** CIFAR-10 as class folders: `train/cat/...`, `test/cat/...`. */
  readonly data: string
  /** Everything is written below this directory. */
  readonly out: string
  readonly recipe: Cifar10Recipe
  /** Of the captions and the first student. */
  readonly seed: number
  /** Students of each kind. */
  readonly seeds: number
  readonly threads: number
  readonly progress: ProgressMode
  readonly startProgress: StartProgress
  readonly say: (line: string) => void
  readonly signal: AbortSignal
}

/** Runs all stages and returns what the report says. Throws UserError where the folder is no CIFAR-10. */
export async function compareOnCifar10(options: Cifar10Options): Promise<Cifar10Report> {
  const { data, out, recipe } = options
  const { unique, precise } = recipe.pictures
  const clock = new Clock(options.signal)
  await makeDirectory(out)
  const train = join(data, "train")
  const forStudents = await listPictures(train, unique)
  const careless = await writeCarelessShards(join(out, "careless"), forStudents, recipe.captions, options.seed)
  const preciseList = join(out, "precise.jsonl")
  await writePreciseList(preciseList, await listPictures(train, precise, unique))
  const test = await listPictures(join(data, "test"), Number.POSITIVE_INFINITY)
  const tasks = await writeTasks(join(out, "tasks.json"), join(data, "test"))

  const trainings = recipe.teachers.map((teacher) => teacherTraining(teacher, preciseList, tasks, options))
  const teachers = await clock.stage("teachers", () => trainModels(trainings, options))
  const checkpoints = teachers.map(({ checkpoint }) => checkpoint)
  const embedding = embeddingArguments(careless, checkpoints, options)
  await clock.stage("reinforce", () => runStage("embed", embedding, options))
  const comparison = comparisonOf(careless, teachers, tasks, options)
  const students = await clock.stage("students", () => compareStudents(comparison, options))

  const { plain, reinforced } = students.first
  const report: Cifar10Report = {
    seconds: clock.seconds() + students.earlierSeconds + teachers.reduce((sum, each) => sum + each.earlierSeconds, 0),
    pictures: { ...recipe.pictures, test: test.length },
    captions: recipe.captions,
    samplesSeen: plain.info.samplesSeen,
    plain: students.plain,
    reinforced: students.reinforced,
    guessing: 1 / classNames.length,
    efficiencyRatio: students.efficiency,
    samplesPerSecond: { plain: plain.samplesPerSecond, reinforced: reinforced.samplesPerSecond },
    teachers: recipe.teachers.map(({ name }, i) => ({ name, ...curveOf(teachers[i]!).at(-1)! })),
    stages: clock.stages,
    machine: thisMachine(),
    versions: { mobileclip: version(), libtorch: torch.version() },
    reinforceCommand: commandLine("embed", embedding),
  }
  await writeCifar10Report(out, report, await captionExamples(careless))
  return report
}

/** The benchmark's task, as `evaluate.tasks` takes it. */
async function writeTasks(path: string, folder: string): Promise<string> {
  const images = resolve(folder)
  const task = { name: "cifar10", images, classNames, templates: templates.map((text) => text.replace("{c}", "{}")) }
  await writeAtomically(path, [JSON.stringify([task], null, 2)])
  return path
}

function teacherTraining(
  teacher: Cifar10Recipe["teachers"][number],
  source: string,
  tasks: string,
  { out, recipe, seed }: Cifar10Options,
): ModelTraining {
  return {
    directory: join(out, "teachers", teacher.name),
    name: `teacher ${teacher.name}`,
    info: cifar10Info(teacher.model),
    config: { ...teacher.training, seed: seed + teacher.seed, evaluateEvery: teacher.training.steps },
    pairs: { source, format: "jsonl", view: "crop", cropScale: recipe.cropScale },
    tasks,
  }
}

function embeddingArguments(careless: string, teachers: readonly string[], options: Cifar10Options): string[] {
  const { out, seed, threads, progress, recipe } = options
  const { views, augmentation } = recipe.reinforcement
  return [
    ...["--input", careless, "--output", reinforcedFolder(out), "--model-name", teachers.join(",")],
    ...["--num-samples", String(views), "--aug-config", JSON.stringify(augmentation), "--seed", String(seed)],
    ...["--runtime", "libtorch", "--batch-size", "64", "--threads", String(threads), "--augment-threads", "1"],
    ...["--progress", progress],
  ]
}

function reinforcedFolder(out: string): string {
  return join(out, "reinforced")
}

function comparisonOf(
  careless: string,
  teachers: readonly TrainingResult[],
  tasks: string,
  { out, recipe, seed, seeds }: Cifar10Options,
): StudentComparison {
  const { model, training } = recipe.student
  const { objective, temperature } = recipe.reinforcement
  return {
    directory: join(out, "students"),
    info: cifar10Info(model),
    config: { ...training, seed, evaluateEvery: Math.ceil(training.steps / recipe.evaluations) },
    seeds,
    plain: { source: careless, format: "shards", view: "crop", cropScale: recipe.cropScale },
    reinforced: { source: reinforcedFolder(out), format: "reinforced", view: "stored" },
    // A teacher's distributions mean most near the scale it was trained with.
    objective: { ...objective, scales: teachers.map(({ steps }) => steps.at(-1)!.logitScale / temperature) },
    tasks,
    guessing: 1 / classNames.length,
  }
}
