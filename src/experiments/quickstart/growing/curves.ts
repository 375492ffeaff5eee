/** Curves of the trainings so far, from the logs that they write: losses over the steps, accuracy over samples. */
import { stat } from "node:fs/promises"
import { join } from "node:path"
import { type Curve, smallFigure } from "../../../report/chart.ts"
import { type Html, html } from "../../../report/html.ts"
import { percent } from "../../../report/numbers.ts"
import { type EvaluationEntry, isStep, type LogEntry, totalLoss } from "../../../train/log/entries.ts"
import { readMetrics } from "../../../train/log/metrics.ts"
import { stepCurve } from "../../../train/log/report/curves.ts"

/** A training of the run, whose folder may not be there yet. */
export interface WatchedTraining {
  readonly name: string
  readonly directory: string
  readonly steps: number
  readonly batchSize: number
}

/** Trainings that are shown together. */
export interface WatchedGroup {
  readonly title: string
  readonly trainings: readonly WatchedTraining[]
  /** Accuracy of guessing where the group is scored along the way; absent: at its end only. */
  readonly guessing?: number
}

/** Points of a curve: more would only make the page larger. */
const mostPoints = 120

/** Groups that are shown, the latest ones: with many seeds the page would become large. */
const mostGroups = 4

/** Draws again only what has grown. */
export class GrowingCurves {
  private readonly drawn = new Map<WatchedGroup, { readonly bytes: number; readonly figures: Html }>()

  constructor(private readonly groups: readonly WatchedGroup[]) {}

  /** The figures of the groups that began to train last, the latest first. */
  async figures(): Promise<Html[]> {
    const figures: Html[] = []
    for (const group of this.groups.toReversed()) {
      if (figures.length < mostGroups) figures.push(...(await this.figuresOf(group)))
    }
    return figures
  }

  private async figuresOf(group: WatchedGroup): Promise<Html[]> {
    const bytes = await bytesOf(group)
    if (bytes === 0) return []
    const drawn = this.drawn.get(group)
    if (drawn?.bytes === bytes) return [drawn.figures]
    const figures = await groupFigures(group)
    this.drawn.set(group, { bytes, figures })
    return [figures]
  }
}

async function bytesOf({ trainings }: WatchedGroup): Promise<number> {
  const sizes = trainings.map((training) =>
    stat(logOf(training)).then(
      ({ size }) => size,
      () => 0,
    ),
  )
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
}

function logOf({ directory }: WatchedTraining): string {
  return join(directory, "metrics.jsonl")
}

interface Logged extends WatchedTraining {
  readonly entries: readonly LogEntry[]
}

async function groupFigures(group: WatchedGroup): Promise<Html> {
  const { title, trainings, guessing } = group
  const logs = await Promise.all(
    trainings.map(async (training) => ({ ...training, entries: await readMetrics(logOf(training), mostPoints) })),
  )
  return html`
<div class="group">
  <h3>${title}</h3>
  <p class="scores">${scoresText(logs)}</p>
  ${guessing === undefined || !isScored(logs) ? null : await accuracyFigure(logs, guessing)}${await lossFigure(logs)}
</div>`
}

function isScored(logs: readonly Logged[]): boolean {
  return logs.some(({ entries }) => evaluationsOf(entries).length > 0)
}

/** The last scores, or that there are none yet. */
function scoresText(logs: readonly Logged[]): string {
  const texts = logs.flatMap(({ name, entries }) => {
    const last = evaluationsOf(entries).at(-1)
    return last ? [`${name} ${percent(last.average)}`] : []
  })
  return texts.length === 0 ? "Not scored yet." : `Mean zero-shot accuracy so far: ${texts.join(", ")}.`
}

function lossFigure(logs: readonly Logged[]): Promise<Html> {
  const curves = logs.map(({ name, entries }) => stepCurve(entries.filter(isStep), totalLoss, name))
  const xEnd = Math.max(...logs.map(({ steps }) => steps))
  return smallFigure(curves, {
    caption: "loss",
    label: "Loss over the steps so far",
    xTitle: "step",
    smoothed: true,
    xEnd,
  })
}

function accuracyFigure(logs: readonly Logged[], guessing: number): Promise<Html> {
  const curves = logs.map(({ name, entries }): Curve => {
    const points = evaluationsOf(entries).map(({ samplesSeen, average }) => ({ x: samplesSeen, y: average }))
    return { name, points: [{ x: 0, y: guessing }, ...points] }
  })
  const xEnd = Math.max(...logs.map(({ steps, batchSize }) => steps * batchSize))
  const look = { xTitle: "samples seen", format: ".0%", marked: true, xEnd }
  return smallFigure(curves, {
    caption: "mean zero-shot accuracy",
    label: "Mean accuracy over samples so far",
    ...look,
  })
}

function evaluationsOf(entries: readonly LogEntry[]): EvaluationEntry[] {
  return entries.filter((entry): entry is EvaluationEntry => !isStep(entry))
}
