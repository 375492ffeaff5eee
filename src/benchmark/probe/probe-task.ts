/** A task answered by classifiers on frozen vectors: lines `<key>@linear` and `<key>@4-shot`, beside the zero-shot ones. */
import { concatenate } from "../../core/arrays/concatenate.ts"
import { UserError } from "../../core/errors.ts"
import type { Metrics } from "../../evaluate/metrics/metrics.ts"
import { metricsOf } from "../../evaluate/metrics/task-metrics.ts"
import type { BenchmarkDataset } from "../layout/benchmark-dataset.ts"
import type { PictureRecord } from "../pictures/encode-pictures.ts"
import { answerTable } from "../run/answer-table.ts"
import {
  type EvaluationTask,
  type Job,
  type ProbeSettings,
  passOverTask,
  questionOf,
  type Run,
  roundedSeconds,
  type Scored,
  secondsSince,
} from "../run/job.ts"
import { withOwnGroups } from "../run/score-task.ts"
import { labelsOf } from "../run/scorers.ts"
import type { Labelled } from "./logistic-regression.ts"
import { fewShot, linearProbe, type ProbeResult } from "./probe.ts"

/** Keys of the results, in their order. */
export function probeKeys({ key }: Pick<EvaluationTask, "key">, { linear, shots }: ProbeSettings): string[] {
  return [...(linear ? [`${key}@linear`] : []), ...shots.map((count) => `${key}@${count}-shot`)]
}

/** @throws UserError where the task has no classes or no training split; the signal's reason */
export async function probeTask(
  task: EvaluationTask,
  test: BenchmarkDataset,
  pending: readonly Run[],
  job: Job,
  probe: ProbeSettings,
): Promise<Scored[]> {
  const classes = questionOf(task, test, job).classNames?.length ?? 0
  if (task.kind !== "classification" || classes < 2)
    throw new UserError(`${test.location} is not a classification`, "a probe needs a class for each picture")
  const train = await job.open(task, "train")
  if (!train) throw new UserError(`${test.location} has no training split`, "a probe needs train/nshards.txt")
  const begun = performance.now()
  const [known, asked] = [await splitOf(task, train, pending, job), await splitOf(task, test, pending, job)]
  const shared = secondsSince(begun)
  const sets = pending.map((run, i) => ({
    run,
    train: labelled(known, i, run, classes, train),
    test: labelled(asked, i, run, classes, test),
  }))
  return sets.flatMap((set) =>
    answersOf(set, { task, classes, probe, records: asked.records, groups: test.groups, shared }, job),
  )
}

interface Split {
  readonly records: readonly PictureRecord[]
  /** For each run [pictures, embedDim] */
  readonly features: readonly Float32Array[]
}

async function splitOf(
  task: EvaluationTask,
  dataset: BenchmarkDataset,
  pending: readonly Run[],
  job: Job,
): Promise<Split> {
  const parts = pending.map((): Float32Array[] => [])
  const takers = pending.map(({ model }, i) => ({
    model,
    add: (vectors: Float32Array) => void parts[i]!.push(vectors),
  }))
  const { records } = await passOverTask(task, dataset, takers, job)
  return { records, features: parts.map(concatenate) }
}

function labelled({ records, features }: Split, i: number, { model }: Run, classes: number, from: BenchmarkDataset) {
  return { features: features[i]!, width: model.embedDim, labels: labelsOf(records, classes, from.location) }
}

interface Asked {
  readonly task: EvaluationTask
  readonly classes: number
  readonly probe: ProbeSettings
  /** Those of the test split. */
  readonly records: readonly PictureRecord[]
  readonly groups: BenchmarkDataset["groups"]
  /** What the vectors took. */
  readonly shared: number
}

interface RunSets {
  readonly run: Run
  readonly train: Labelled
  readonly test: Labelled
}

function answersOf(set: RunSets, asked: Asked, { signal }: Job): Scored[] {
  const { probe, classes, task } = asked
  const keys = probeKeys(task, probe)
  const fits = [
    ...(probe.linear ? [() => [linearProbe(set.train, set.test, classes, signal)]] : []),
    ...probe.shots.map((shots) => () => {
      const seeds = [...Array(probe.seeds).keys()]
      return seeds.map((seed) => fewShot(set.train, set.test, classes, { shots, seed, signal }))
    }),
  ]
  return fits.flatMap((fit, i) => (set.run.results.has(keys[i]!) ? [] : [scored(keys[i]!, fit, set.run, asked)]))
}

function scored(key: string, fit: () => readonly ProbeResult[], run: Run, asked: Asked): Scored {
  const { task, records, groups, classes, shared } = asked
  const begun = performance.now()
  const results = fit()
  const metadata = records.every((record) => record.metadata) ? records.map((record) => record.metadata!) : null
  const answers = results.map(({ predictions }) => ({ kind: "classification" as const, predictions, metadata }))
  const each = answers.map((answer) => withOwnGroups(task, metricsOf(task, answer), answer, groups))
  const kind = key.endsWith("@linear") ? "linear-probe" : "few-shot"
  const details = {
    ...{ kind, mainMetric: task.mainMetric, answers: records.length * results.length, images: records.length, classes },
    chance: task.chance ?? 1 / classes,
    ...{ seconds: roundedSeconds(shared + secondsSince(begun)), cachedImages: 0 },
  }
  return {
    run,
    answers: results.length === 1 ? answerTable(task.mainMetric, answers[0]!, records) : null,
    result: { key, dataset: task.name, metrics: { ...meanOf(each), ...strengthsOf(results) }, details },
  }
}

/** The mean of each metric over the draws; with several, the standard deviation of the main one. */
function meanOf(each: readonly Metrics[]): Metrics {
  if (each.length === 1) return each[0]!
  const mean = (name: string) => {
    const values = each.map((metrics) => metrics[name] ?? null)
    return values.includes(null) ? null : values.reduce<number>((sum, value) => sum + value!, 0) / values.length
  }
  const means = Object.fromEntries(Object.keys(each[0]!).map((name) => [name, mean(name)]))
  const main = means.main_metric ?? null
  const squares = each.reduce((sum, { main_metric }) => sum + ((main_metric ?? 0) - (main ?? 0)) ** 2, 0)
  return { ...means, main_metric_std: main === null ? null : Math.sqrt(squares / (each.length - 1)) }
}

/** The inverse strength of regularisation of each draw. */
function strengthsOf(results: readonly ProbeResult[]): Metrics {
  if (results.length === 1) return { c: results[0]!.c }
  return Object.fromEntries(results.map(({ c }, seed) => [`c_seed:${seed}`, c]))
}
