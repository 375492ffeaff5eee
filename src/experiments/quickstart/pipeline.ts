/**
 * The quickstart: the papers' loop on rendered scenes. Teachers and a captioner learn from precise captions; a noisy set is
 * reinforced with them; the same student is trained plain and reinforced, and the reinforced one is exported, evaluated
 * and used. Each stage writes files that the next one reads, so an interrupted run goes on where it was.
 */
import { join } from "node:path"
import { worstError } from "../../core/inference/manifest.ts"
import { renderScenes } from "../../data/scenes/dataset.ts"
import { readScenes, scoreRetrieval, scoreTasks } from "../../evaluate/scenes.ts"
import { checkModelDirectory } from "../../export/model-files.ts"
import { lockFolder } from "../../host/locks/lock.ts"
import { loadModel } from "../../run/node.ts"
import type { TrainingResult } from "../../train/run/run-directory.ts"
import { exportCheckpoint } from "../../weights/export-checkpoint.ts"
import { claimFolder } from "../comparison/claim-folder.ts"
import { reinforce } from "../comparison/reinforcement.ts"
import { Clock } from "../comparison/stages.ts"
import { measureStepTime } from "../comparison/step-time.ts"
import { compareStudents, distillation, type StudentComparison, scheduledShares } from "../comparison/students.ts"
import type { ModelTraining } from "../comparison/train-model.ts"
import { trainModels } from "../comparison/train-models.ts"
import { watchRun } from "./growing/watch.ts"
import { infoOf } from "./models.ts"
import type { ModelRecipe, QuickstartOptions, QuickstartRecipe } from "./recipe.ts"
import { guessing, judgeCaptions, type ReportData, reportData } from "./report-data.ts"
import { writeReport } from "./report-page.ts"
import { classifySamples, samplesOf, writeSamples } from "./samples.ts"
import { suggestLabels } from "./suggested-labels.ts"

/** Names that are written in the folder. Scenes and the model are missing here, because their own files identify them. */
const content = [
  ...["teachers", "captioned", "reinforced", "students", "pictures", "report.html", "report.json", "stages.json"],
] as const

/** Runs all stages; an interrupted run goes on where it was. Returns what the report says. */
export async function quickstart(options: QuickstartOptions): Promise<ReportData> {
  const { out, signal } = options
  await checkModelDirectory(join(out, "model"))
  using _ = await lockFolder(out, "mobileclip quickstart", signal)
  await claimFolder(out, "quickstart", content)
  const watch = await watchRun(options)
  const { observer, earlier } = watch
  const startProgress = observer.watching(options.startProgress)
  try {
    const report = await runStages({ ...options, startProgress }, new Clock(signal, observer, earlier))
    await watch.finish()
    await writeReport(out, report)
    return report
  } catch (error) {
    await watch.fail(error)
    throw error
  }
}

async function runStages(options: QuickstartOptions, clock: Clock): Promise<ReportData> {
  const { out, recipe, startProgress, say } = options
  const directory = join(out, "model")
  const scenes = join(out, "scenes")
  await clock.stage("render", () => render(scenes, options))

  const { noisy: noisyCount, precise: preciseCount } = recipe.scenes
  const precise = shardsOf(scenes, noisyCount, noisyCount + preciseCount, recipe)
  const trainings = recipe.teachers.map((teacher) =>
    teacherTraining(teacher, recipe.evaluations.teachers, precise, scenes, options),
  )
  const teachers = await clock.stage("teachers", () => trainModels(trainings, options))
  const captionerTraining = {
    ...teacherTraining(recipe.captioner, 1, precise, scenes, options),
    // It starts with the first teacher's image tower, so that it learns to write sooner.
    startFrom: teachers[0]!.checkpoint,
  }
  const [captioner] = (await clock.stage("captioner", () => trainModels([captionerTraining], options))) as [
    TrainingResult,
  ]

  const noisy = shardsOf(scenes, 0, noisyCount, recipe)
  const checkpoints = { captioner: captioner.checkpoint, teachers: teachers.map(({ checkpoint }) => checkpoint) }
  const reinforced = await clock.stage("reinforce", () => reinforce(noisy, checkpoints, recipe.reinforcement, options))
  const captions = await judgeCaptions(reinforced.shards)

  const comparison = comparisonOf(noisy, reinforced.shards, scenes, teachers, options)
  const stepTime = await clock.stage("step times", () =>
    measureStepTime({ ...comparison, shards: reinforced.shards, steps: recipe.timedSteps }),
  )
  const students = await clock.stage("students", () => compareStudents(comparison, options))
  const training = students.first.reinforced

  const { verification } = await clock.stage("export", () =>
    exportCheckpoint(training.checkpoint, { out: directory, command: "mobileclip quickstart", signal: options.signal }),
  )
  say(
    `exported to ${directory}; differs from ${verification.reference} by ${worstError(verification).toExponential(1)} standard deviations at most`,
  )

  const test = await readScenes(join(scenes, "test"))
  await using model = await loadModel(directory, { threads: options.threads, cache: false })
  const progress = startProgress("evaluate", test.length, { unit: "pictures" })
  const [tasks, retrieval] = await clock.stage("evaluate", async () => [
    await scoreTasks(model, test, (done) => progress.update(done)),
    await scoreRetrieval(model, await readScenes(join(scenes, "retrieval"))),
  ])
  progress.done()
  const { pictures, suggestion } = await clock.stage("classify", async () => {
    const suggestion = await suggestLabels(model, test)
    const samples = samplesOf(test, suggestion)
    await writeSamples(join(out, "pictures"), samples)
    return { pictures: await classifySamples(model, samples, suggestion), suggestion }
  })

  return reportData(
    {
      ...{ teachers, captioner, captions, stepTime, students, tasks, retrieval, pictures, suggestion },
      commands: reinforced.commands,
    },
    options,
    clock,
  )
}

// ------------------------------------------------------------------------------------------------------ stages

async function render(out: string, { seed, recipe, startProgress, signal }: QuickstartOptions): Promise<void> {
  const { noisy, precise, test, retrieval, perShard } = recipe.scenes
  const counts = { train: noisy + precise, test, retrieval }
  const progress = startProgress("render", counts.train + test + retrieval, { unit: "pictures" })
  await renderScenes({
    out,
    seed,
    counts,
    signal,
    samplesPerShard: perShard,
    onProgress: (done) => progress.update(done),
  })
  progress.done()
}

/** Shards of the training pictures from `start` to `end`, which are multiples of a shard. */
function shardsOf(scenes: string, start: number, end: number, recipe: QuickstartRecipe): string {
  const { perShard } = recipe.scenes
  const name = (shard: number) => String(shard).padStart(5, "0")
  return join(scenes, "train", `{${name(start / perShard)}..${name(end / perShard - 1)}}.tar`)
}

/** A CLIP teacher or the captioner, scored so often, the last time at its end. */
function teacherTraining(
  recipe: ModelRecipe,
  evaluations: number,
  source: string,
  scenes: string,
  options: QuickstartOptions,
): ModelTraining {
  const { steps } = recipe.training
  return {
    directory: join(options.out, "teachers", recipe.name),
    name: recipe.name,
    info: infoOf(recipe.model),
    config: { ...recipe.training, seed: options.seed + recipe.seed, evaluateEvery: Math.ceil(steps / evaluations) },
    pairs: { source, format: "shards", view: "crop", captionKey: recipe.captions },
    tasks: join(scenes, "test"),
  }
}

function comparisonOf(
  noisy: string,
  shards: string,
  scenes: string,
  teachers: readonly TrainingResult[],
  options: QuickstartOptions,
): StudentComparison {
  const { recipe, seed } = options
  return {
    directory: join(options.out, "students"),
    info: infoOf(recipe.student.model),
    config: {
      ...recipe.student.training,
      seed,
      evaluateEvery: Math.ceil(recipe.student.training.steps / recipe.evaluations.students),
    },
    seeds: options.seeds,
    scheduled: scheduledShares(options.seeds),
    plain: {
      ...{ source: noisy, format: "shards", view: "crop", captionKey: recipe.student.captions },
      cropScale: recipe.reinforcement.cropScale,
    },
    reinforced: { source: shards, format: "reinforced", view: "stored" },
    objective: distillation(recipe.reinforcement, teachers),
    tasks: join(scenes, "test"),
    guessing,
  }
}
