/**
 * Plain and reinforced training compared on real photographs. Teachers and a captioner learn from precise captions of most
 * training pictures. A few other pictures have careless captions, and are reinforced by the real stages. The same student is
 * trained on these plain and reinforced, at equal samples. Each stage writes files, so an interrupted run goes on where it was.
 */
import { join, resolve } from "node:path"
import * as torch from "../../../torch/index.ts"
import { writeAtomically } from "../../host/files/files.ts"
import { lockFolder } from "../../host/locks/lock.ts"
import { version } from "../../host/version.ts"
import { thisMachine } from "../../report/machine.ts"
import type { TrainingResult } from "../../train/run/run-directory.ts"
import { claimFolder } from "../comparison/claim-folder.ts"
import { type Reinforcement, type ReinforcementContext, reinforce } from "../comparison/reinforcement.ts"
import { Clock } from "../comparison/stages.ts"
import {
  compareStudents,
  curveOf,
  distillation,
  type StudentComparison,
  type StudentResults,
  scheduledShares,
} from "../comparison/students.ts"
import type { ModelTraining } from "../comparison/train-model.ts"
import { trainModels } from "../comparison/train-models.ts"
import { classNames, templates } from "./classes.ts"
import { listPictures, writeCarelessShards, writePreciseList } from "./dataset.ts"
import { cifar10Info } from "./models.ts"
import type { Cifar10Recipe, TeacherRecipe } from "./recipe.ts"
import { type Cifar10Report, captionExamples, shareOfTrueCaptions } from "./report-data.ts"
import { writeCifar10Report } from "./report-page.ts"
import { compareSubsets, type SubsetResults } from "./subsets.ts"

/** Everything is written below `out`. */
interface Cifar10Options extends ReinforcementContext {
  /** CIFAR-10 as class folders: `train/cat/...`, `test/cat/...`. */
  readonly data: string
  readonly recipe: Cifar10Recipe
  /** Students of each kind. */
  readonly seeds: number
  /** Whether students also learn from fewer different pictures. */
  readonly subsets: boolean
}

/** Names that are written in the folder. */
const content = [
  ...["careless", "precise.jsonl", "tasks.json", "teachers", "captioned", "reinforced", "students"],
  ...["subsets", "report.html", "report.json"],
] as const

/** Runs all stages and returns what the report says. Throws UserError where the folder is not CIFAR-10. */
export async function compareOnCifar10(options: Cifar10Options): Promise<Cifar10Report> {
  const { out, recipe } = options
  const clock = new Clock(options.signal)
  using _ = await lockFolder(out, "cifar10", options.signal)
  await claimFolder(out, "cifar10", content)
  const pictures = await preparePictures(options)
  const taught = await teach(pictures, options, clock)
  const checkpoints = {
    captioner: taught.captioner.checkpoint,
    teachers: taught.teachers.map(({ checkpoint }) => checkpoint),
  }
  const reinforcement = await clock.stage("reinforce", () =>
    reinforce(pictures.careless, checkpoints, recipe.reinforcement, options),
  )
  const comparison = comparisonOf(pictures, reinforcement.shards, taught.teachers, options)
  const students = await clock.stage("students", () => compareStudents(comparison, options))
  const subsets = options.subsets ? await clock.stage("subsets", () => trainSubsets(comparison, options)) : []
  const report = await reportData({ pictures, taught, reinforcement, students, subsets }, options, clock)
  await writeCifar10Report(out, report, await captionExamples(reinforcement.shards))
  return report
}

interface Outcome {
  readonly pictures: Pictures
  readonly taught: Taught
  readonly reinforcement: Reinforcement
  readonly students: StudentResults
  readonly subsets: readonly SubsetResults[]
}

async function reportData(
  { pictures, taught: { teachers, captioner }, reinforcement, students, subsets }: Outcome,
  { recipe }: Cifar10Options,
  clock: Clock,
): Promise<Cifar10Report> {
  const { plain, reinforced } = students.first
  const all = { unique: recipe.pictures.unique, plain: students.plain, reinforced: students.reinforced }
  const earlier = [...teachers, captioner, students, ...subsets].reduce((sum, each) => sum + each.earlierSeconds, 0)
  return {
    seconds: clock.seconds() + earlier,
    pictures: { ...recipe.pictures, test: pictures.test },
    captions: recipe.captions,
    samplesSeen: plain.info.samplesSeen,
    plain: students.plain,
    reinforced: students.reinforced,
    guessing: 1 / classNames.length,
    efficiency: students.efficiency,
    subsets: subsets.length > 0 ? [...subsets.map(({ earlierSeconds: _, ...subset }) => subset), all] : [],
    samplesPerSecond: { plain: plain.samplesPerSecond, reinforced: reinforced.samplesPerSecond },
    teachers: recipe.teachers.map(({ name }, i) => ({ name, ...curveOf(teachers[i]!).at(-1)! })),
    captioner: { ...curveOf(captioner).at(-1)!, trueCaptions: await shareOfTrueCaptions(reinforcement.shards) },
    stages: clock.stages,
    machine: thisMachine(),
    versions: { mobileclip: version(), libtorch: torch.version() },
    reinforceCommands: reinforcement.commands,
  }
}

// ------------------------------------------------------------------------------------------------------ stages

interface Pictures {
  /** Shards for the students. */
  readonly careless: string
  /** A list for the teachers and the captioner. */
  readonly precise: string
  /** The benchmark's task, as a list of one. */
  readonly tasks: string
  /** How many test pictures there are. */
  readonly test: number
}

async function preparePictures({ data, out, recipe, seed }: Cifar10Options): Promise<Pictures> {
  const { unique, precise } = recipe.pictures
  const [train, test] = [join(data, "train"), join(data, "test")]
  const forStudents = await listPictures(train, unique)
  const preciseList = join(out, "precise.jsonl")
  await writePreciseList(preciseList, await listPictures(train, precise, unique))
  return {
    careless: await writeCarelessShards(join(out, "careless"), forStudents, recipe.captions, seed),
    precise: preciseList,
    tasks: await writeTasks(join(out, "tasks.json"), test),
    test: (await listPictures(test, Number.POSITIVE_INFINITY)).length,
  }
}

/** The benchmark's task, as `evaluate.tasks` takes it. */
async function writeTasks(path: string, folder: string): Promise<string> {
  const images = resolve(folder)
  const task = { name: "cifar10", images, classNames, templates: templates.map((text) => text.replace("{c}", "{}")) }
  await writeAtomically(path, [JSON.stringify([task], null, 2)])
  return path
}

interface Taught {
  readonly teachers: readonly TrainingResult[]
  readonly captioner: TrainingResult
}

async function teach(pictures: Pictures, options: Cifar10Options, clock: Clock): Promise<Taught> {
  const { teachers: recipes, captioner: recipe } = options.recipe
  const trainings = recipes.map((teacher) => teacherTraining(teacher, pictures, options))
  const teachers = await clock.stage("teachers", () => trainModels(trainings, options))
  // It starts with the first teacher's image tower, so that it learns to write sooner.
  const training = { ...teacherTraining(recipe, pictures, options), startFrom: teachers[0]!.checkpoint }
  const [captioner] = (await clock.stage("captioner", () => trainModels([training], options))) as [TrainingResult]
  return { teachers, captioner }
}

/** A CLIP teacher or the captioner: scored once, at its end. */
function teacherTraining(
  { name, model, training, seed }: TeacherRecipe,
  { precise, tasks }: Pictures,
  options: Cifar10Options,
): ModelTraining {
  return {
    directory: join(options.out, "teachers", name),
    name,
    info: cifar10Info(model),
    config: { ...training, seed: options.seed + seed, evaluateEvery: training.steps },
    pairs: { source: precise, format: "jsonl", view: "crop", cropScale: options.recipe.reinforcement.cropScale },
    tasks,
  }
}

function comparisonOf(
  { careless, tasks }: Pictures,
  reinforced: string,
  teachers: readonly TrainingResult[],
  { out, recipe, seed, seeds }: Cifar10Options,
): StudentComparison {
  const { model, training } = recipe.student
  return {
    directory: join(out, "students"),
    info: cifar10Info(model),
    config: { ...training, seed, evaluateEvery: Math.ceil(training.steps / recipe.evaluations) },
    seeds,
    scheduled: scheduledShares(seeds),
    plain: { source: careless, format: "shards", view: "crop", cropScale: recipe.reinforcement.cropScale },
    reinforced: { source: reinforced, format: "reinforced", view: "stored" },
    objective: distillation(recipe.reinforcement, teachers),
    tasks,
    guessing: 1 / classNames.length,
  }
}

function trainSubsets(comparison: StudentComparison, options: Cifar10Options): Promise<SubsetResults[]> {
  return compareSubsets(comparison, options.recipe.pictures.unique, join(options.out, "subsets"), options)
}
