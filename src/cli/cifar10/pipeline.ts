/**
 * Plain and reinforced training compared on real photographs. Teachers and a captioner learn from precise captions of most
 * training pictures; few others, with careless captions, are reinforced with them by the real stages; the same student is trained on
 * these plain and reinforced, at equal samples. Each stage leaves files, so an interrupted run goes on where it was.
 */
import { join, resolve } from "node:path"
import * as torch from "../../../torch/index.ts"
import { makeDirectory, writeAtomically } from "../../host/files.ts"
import { distillation } from "../comparison/distillation.ts"
import { reinforce } from "../comparison/reinforcement.ts"
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
import type { Cifar10Recipe, TeacherRecipe } from "./recipe.ts"
import { type Cifar10Report, captionExamples, shareOfTrueCaptions, writeCifar10Report } from "./report.ts"

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

  const shared = { out, recipe, seed: options.seed, source: preciseList, tasks }
  const trainings = recipe.teachers.map((teacher) => teacherTraining(teacher, shared))
  const teachers = await clock.stage("teachers", () => trainModels(trainings, options))
  // Its image tower is the first teacher's: it learns to write sooner.
  const captionerTraining = {
    ...teacherTraining(recipe.captioner, shared),
    startFrom: teachers[0]!.checkpoint,
  }
  const [captioner] = (await clock.stage("captioner", () => trainModels([captionerTraining], options))) as [
    TrainingResult,
  ]
  const knowledge = { captioner: captioner.checkpoint, teachers: teachers.map(({ checkpoint }) => checkpoint) }
  const reinforcement = await clock.stage("reinforce", () =>
    reinforce(careless, knowledge, recipe.reinforcement, options),
  )
  const comparison = comparisonOf(careless, reinforcement.shards, teachers, tasks, options)
  const students = await clock.stage("students", () => compareStudents(comparison, options))

  const { plain, reinforced } = students.first
  const report: Cifar10Report = {
    seconds: clock.seconds() + students.earlierSeconds + earlierSeconds([...teachers, captioner]),
    pictures: { ...recipe.pictures, test: test.length },
    captions: recipe.captions,
    samplesSeen: plain.info.samplesSeen,
    plain: students.plain,
    reinforced: students.reinforced,
    guessing: 1 / classNames.length,
    efficiencyRatio: students.efficiency,
    samplesPerSecond: { plain: plain.samplesPerSecond, reinforced: reinforced.samplesPerSecond },
    teachers: recipe.teachers.map(({ name }, i) => ({ name, ...curveOf(teachers[i]!).at(-1)! })),
    captioner: { ...curveOf(captioner).at(-1)!, trueCaptions: await shareOfTrueCaptions(reinforcement.shards) },
    stages: clock.stages,
    machine: thisMachine(),
    versions: { mobileclip: version(), libtorch: torch.version() },
    reinforceCommands: reinforcement.commands,
  }
  await writeCifar10Report(out, report, await captionExamples(reinforcement.shards))
  return report
}

/** The benchmark's task, as `evaluate.tasks` takes it. */
async function writeTasks(path: string, folder: string): Promise<string> {
  const images = resolve(folder)
  const task = { name: "cifar10", images, classNames, templates: templates.map((text) => text.replace("{c}", "{}")) }
  await writeAtomically(path, [JSON.stringify([task], null, 2)])
  return path
}

interface TeacherContext {
  readonly out: string
  readonly recipe: Cifar10Recipe
  readonly seed: number
  /** A list of pictures with precise captions. */
  readonly source: string
  readonly tasks: string
}

/** A CLIP teacher or the captioner: scored once, at its end. */
function teacherTraining(teacher: TeacherRecipe, { out, recipe, seed, source, tasks }: TeacherContext): ModelTraining {
  return {
    directory: join(out, "teachers", teacher.name),
    name: teacher.name,
    info: cifar10Info(teacher.model),
    config: { ...teacher.training, seed: seed + teacher.seed, evaluateEvery: teacher.training.steps },
    pairs: { source, format: "jsonl", view: "crop", cropScale: recipe.cropScale },
    tasks,
  }
}

function earlierSeconds(trainings: readonly TrainingResult[]): number {
  return trainings.reduce((sum, each) => sum + each.earlierSeconds, 0)
}

function comparisonOf(
  careless: string,
  reinforced: string,
  teachers: readonly TrainingResult[],
  tasks: string,
  { out, recipe, seed, seeds }: Cifar10Options,
): StudentComparison {
  const { model, training } = recipe.student
  return {
    directory: join(out, "students"),
    info: cifar10Info(model),
    config: { ...training, seed, evaluateEvery: Math.ceil(training.steps / recipe.evaluations) },
    seeds,
    plain: { source: careless, format: "shards", view: "crop", cropScale: recipe.cropScale },
    reinforced: { source: reinforced, format: "reinforced", view: "stored" },
    objective: distillation(recipe.reinforcement, teachers),
    tasks,
    guessing: 1 / classNames.length,
  }
}
