/**
 * One task for all models: scores with their intervals, and differences to the first model. Answers that were kept give a
 * bootstrap, paired where both models answered the same pictures; else the number of answers gives the binomial's interval.
 */

import { worstRegionWithoutOther } from "../../evaluate/metrics/groups.ts"
import { mainMetricOf, type ScoredTask } from "../../evaluate/suite/averages.ts"
import { findTask } from "../../evaluate/suite/tasks.ts"
import type { TaskResult } from "../run/task-result.ts"
import { type Answers, readAnswers } from "./answers.ts"
import { type BootstrapOptions, bootstrapScores, middleOf, pairedDifference } from "./bootstrap.ts"
import type { ComparedModel } from "./compared-model.ts"
import { binomialInterval, factsOf, groupsOf, isWorstGroup, type TaskFacts } from "./estimate.ts"
import { covers, differenceInterval, type Interval, wilson } from "./intervals.ts"
import { plainScore, type Scored, scoredAnswers, smallestGroup } from "./scores.ts"
import { type Worth, worthOf } from "./worth.ts"

/** A model's score, 0 to 1. */
export interface Cell {
  readonly value: number
  /** 95 %; null where nothing says how many answers there were. */
  readonly interval: Interval | null
  readonly method: "bootstrap" | "binomial" | null
}

/** To the first model, 0 to 1. */
export interface Difference {
  readonly value: number
  readonly interval: Interval | null
  /** `paired`: over the same pictures. */
  readonly method: "paired" | "unpaired" | null
  /** Whether the interval covers 0; null where there is none. */
  readonly isChance: boolean | null
}

export interface TaskRow {
  readonly key: string
  readonly name: string
  readonly metric: string
  readonly chance: number | null
  /** Scored answers of the first model that says them; null where none does. */
  readonly answers: number | null
  readonly worth: Worth | null
  /** By model; null where a model has no score. */
  readonly cells: readonly (Cell | null)[]
  /** By model; null for the first one. */
  readonly differences: readonly (Difference | null)[]
}

/** A model's score in a task, and what is known of its answers. */
interface Entry {
  readonly value: number
  readonly facts: TaskFacts | null
  readonly metrics: TaskResult["metrics"]
  /** With the task's answers, where they give the score. */
  readonly kept: { readonly answers: Answers; readonly scored: Scored } | null
  /** Its scores in the bootstrap's draws, and which pictures were drawn. */
  drawn: { readonly scores: Float64Array; readonly pictures: number } | null
}

export interface RowResult {
  readonly row: TaskRow
  readonly notes: readonly string[]
}

/** FMoW's region "Other", of four pictures. */
const regionOfFour = 5

/** Null where no model has a main metric in the task. */
export async function taskRow(
  key: string,
  models: readonly ComparedModel[],
  options: BootstrapOptions & { readonly withoutOther?: true },
): Promise<RowResult | null> {
  const notes: string[] = []
  const entries: (Entry | null)[] = []
  for (const model of models) entries.push(await entryOf(key, model, options.withoutOther === true, notes))
  const known = entries.filter((entry) => entry !== null)
  if (known.length === 0) return null
  drawTogether(known, key, options)
  const cells = entries.map((entry) => entry && cellOf(entry))
  const told = known.find(({ facts }) => facts !== null)
  const row = {
    key,
    name: nameOf(key, models),
    metric: told?.facts?.metric ?? findTask(key)?.mainMetric ?? "main_metric",
    chance: told?.facts?.chance ?? null,
    answers: told?.facts?.answers ?? null,
    worth: widest(known.map(({ facts, metrics, kept }) => facts && worthOf(facts, metrics, kept?.answers ?? null))),
    cells,
    differences: entries.map((entry, i) => (i === 0 ? null : differenceOf(entries[0]!, entry, cells[0]!, cells[i]!))),
  }
  return { row, notes: [...notes, ...mismatches(row.name, entries, models)] }
}

function nameOf(key: string, models: readonly ComparedModel[]): string {
  return findTask(key)?.name ?? models.flatMap(({ results }) => results.get(key)?.dataset ?? [])[0] ?? key
}

/** That of the answer that counts most. */
function widest(all: readonly (Worth | null)[]): Worth | null {
  return all.reduce((best, worth) => (worth && worth.most > (best?.most ?? 0) ? worth : best), null)
}

async function entryOf(
  key: string,
  model: ComparedModel,
  withoutOther: boolean,
  notes: string[],
): Promise<Entry | null> {
  const result = model.results.get(key)
  const value = result ? scoreOf(result, withoutOther) : null
  if (!result || value === null) return null
  const metrics = withoutOther ? withoutRegionOfFour(result.metrics) : result.metrics
  const facts = factsOf({ ...result, metrics })
  const entry = { value, facts, metrics, drawn: null }
  const answers = model.answers === null || !facts ? null : await readAnswers(model.answers, key)
  if (!answers) return { ...entry, kept: null }
  const scored = scoredAnswers(facts!.metric, answers, withoutOther ? regionOfFour : undefined)
  if (!scored || isTooSmall(facts!.metric, metrics)) return { ...entry, kept: null }
  const found = plainScore(scored)
  if (Math.abs(found - value) < 1e-5) return { ...entry, kept: { answers, scored } }
  notes.push(
    `${nameOf(key, [model])}: the answers of ${model.name} give ${points(found)}, and its results say ${points(value)}; its interval is from the number of answers`,
  )
  return { ...entry, kept: null }
}

function scoreOf(result: ScoredTask, withoutOther: boolean): number | null {
  if (!withoutOther) return mainMetricOf(result)
  return result.metrics.acc_worst_region_without_other ?? worstRegionWithoutOther(result.metrics)
}

function withoutRegionOfFour(metrics: TaskResult["metrics"]): TaskResult["metrics"] {
  return Object.fromEntries(Object.entries(metrics).filter(([name]) => !name.endsWith(`region:${regionOfFour}`)))
}

/** In the smallest group all may be wrong in every draw, so that a bootstrap would find no spread. */
function isTooSmall(metric: string, metrics: TaskResult["metrics"]): boolean {
  return isWorstGroup(metric) && groupsOf(metric, metrics).some(({ answers }) => answers < smallestGroup)
}

/** Models that answered the same pictures are drawn together. */
function drawTogether(entries: readonly Entry[], key: string, options: BootstrapOptions): void {
  const sets: (Entry & { kept: NonNullable<Entry["kept"]> })[][] = []
  for (const entry of entries) {
    if (!hasAnswers(entry)) continue
    const set = sets.find(([first]) => samePictures(first!.kept.answers, entry.kept.answers))
    if (set) set.push(entry)
    else sets.push([entry])
  }
  for (const [pictures, set] of sets.entries()) {
    const scores = bootstrapScores(
      set.map(({ kept }) => kept.scored),
      key,
      options,
    )
    for (const [i, entry] of set.entries()) entry.drawn = { scores: scores[i]!, pictures }
  }
}

function hasAnswers(entry: Entry): entry is Entry & { kept: NonNullable<Entry["kept"]> } {
  return entry.kept !== null
}

function samePictures(a: Answers, b: Answers): boolean {
  return a.labels.length === b.labels.length && a.labels.every((label, i) => label === b.labels[i])
}

// ------------------------------------------------------------------------------------------------------- cells

function cellOf({ value, facts, metrics, drawn }: Entry): Cell {
  // All or none right: no draw is different.
  if (drawn?.scores.some((score) => score !== drawn.scores[0])) {
    const { low, high } = middleOf(drawn.scores, value)
    return { value, interval: { low: Math.max(0, low), high: Math.min(1, high) }, method: "bootstrap" }
  }
  const interval = facts && binomialInterval(value, facts, metrics)
  return { value, interval, method: interval && "binomial" }
}

function differenceOf(from: Entry | null, to: Entry | null, first: Cell | null, cell: Cell | null): Difference | null {
  if (!from || !to || !first || !cell) return null
  const value = to.value - from.value
  if (from.drawn && to.drawn && from.drawn.pictures === to.drawn.pictures) {
    const changed = answeredDifferently(from.kept!.scored, to.kept!.scored)
    if (changed === 0) return withVerdict(value, noneDifferent(from.kept!.scored.pictures), "paired")
    const paired = pairedDifference(from.drawn.scores, to.drawn.scores, value)
    if (paired && changed >= leastDifferent) return withVerdict(value, paired, "paired")
  }
  if (!first.interval || !cell.interval) return { value, interval: null, method: null, isChance: null }
  const interval = differenceInterval({ ...first, interval: first.interval }, { ...cell, interval: cell.interval })
  return withVerdict(value, interval, "unpaired")
}

/** Five pictures that all change to one side are chance in one of sixteen cases (sign test), and draws of so few say less. */
const leastDifferent = 6

function answeredDifferently(from: Scored, to: Scored): number {
  let count = 0
  for (let picture = 0; picture < from.pictures; picture++) if (from.kindOf(picture) !== to.kindOf(picture)) count++
  return count
}

/** No picture was answered differently: a draw cannot tell in how few that would be so. */
function noneDifferent(pictures: number): Interval {
  const { high } = wilson(0, pictures)
  return { low: -high, high }
}

export function withVerdict(value: number, interval: Interval, method: Difference["method"]): Difference {
  return { value, interval, method, isChance: covers(interval, 0) }
}

// -------------------------------------------------------------------------------------------------- mismatches

function mismatches(name: string, entries: readonly (Entry | null)[], models: readonly ComparedModel[]): string[] {
  const counts = new Map<number, string[]>()
  for (const [i, entry] of entries.entries()) {
    if (!entry?.facts) continue
    counts.set(entry.facts.images, [...(counts.get(entry.facts.images) ?? []), models[i]!.name])
  }
  const texts = [...counts].map(([count, names]) => `${count.toLocaleString("en")} of ${shortList(names)}`)
  if (counts.size > 1) return [`${name}: not the same data, pictures are ${texts.join(", ")}`]
  const sets = new Set(entries.flatMap((entry) => entry?.drawn?.pictures ?? []))
  return sets.size > 1
    ? [`${name}: the labels of the answers differ, so the models were not asked the same pictures`]
    : []
}

export function shortList(names: readonly string[]): string {
  return names.length > 3 ? `${names[0]} and ${names.length - 1} others` : names.join(", ")
}

/** 0.5967 -> "59.67" */
export function points(share: number, digits = 2): string {
  return (100 * share).toFixed(digits)
}
