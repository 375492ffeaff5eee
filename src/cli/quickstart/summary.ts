/** What `mobileclip quickstart` prints at its end. */
import type { CurvePoint, LearningCurve } from "../../evaluate/efficiency.ts"
import { endOf, stepTimeText, teachersText } from "../../experiments/comparison/learning-efficiency.ts"
import { renderedOrigin } from "../../experiments/quickstart/learning-page.ts"
import { type ReportData, rightText } from "../../experiments/quickstart/report-data.ts"
import { noSuggestionText, suggestionText } from "../../experiments/quickstart/suggestion-text.ts"
import { spacedPercent, textTable } from "../table.ts"
import { efficiencyLines } from "./efficiency-lines.ts"

export function summary(report: ReportData, page: string): string {
  const { seconds, samplesSeen, plain, reinforced, guessing, efficiency, stepTime, precisePictures } = report
  return [
    `students saw ${samplesSeen.toLocaleString("en")} samples each; ${(seconds / 60).toFixed(1)} minutes in all`,
    `mean zero-shot accuracy ${spacedPercent(endOf(reinforced))} reinforced, ${spacedPercent(endOf(plain))} plain (guessing ${spacedPercent(guessing)})`,
    teachersText(precisePictures, renderedOrigin),
    "",
    taskTable(report),
    "",
    efficiencyLines(efficiency),
    stepTimeText(stepTime),
    "",
    stagesTable(report),
    "",
    `report: ${page}`,
    "",
    goodAt(report),
    "",
    "next:",
    ...report.next.map(({ command, purpose }) => `${indented(command)}\n      ${purpose}`),
  ].join("\n")
}

/** Where the time went, in minutes. */
function stagesTable({ stages, seconds }: ReportData): string {
  const minutes = (time: number) => (time / 60).toFixed(1)
  return textTable(
    [{ title: "stage" }, { title: "minutes", align: "right" }],
    [...stages.map(({ name, seconds }) => [name, minutes(seconds)]), ["all", minutes(seconds)]],
  )
}

/** What the first of the next commands asks for, and how far its answers can be trusted. */
function goodAt({ suggestion, pictures }: ReportData): string {
  if (suggestion === null) return noSuggestionText
  return `${suggestionText(suggestion, spacedPercent)} The sample pictures are of that half: ${rightText(pictures)} are right.`
}

function taskTable({ tasks, plain, reinforced, teachers }: ReportData): string {
  const columns = ["plain", "reinforced", ...teachers.map(({ name }) => `teacher ${name}`), "chance"]
  const ends = [meanEnd(plain), meanEnd(reinforced), ...teachers]
  const rows = tasks.map(({ name, chance }) => [
    name,
    ...ends.map((end) => spacedPercent(end.tasks[name]!)),
    spacedPercent(chance),
  ])
  return textTable(
    [{ title: "zero-shot task" }, ...columns.map((title) => ({ title, align: "right" as const }))],
    [...rows, ["mean", ...ends.map(({ average }) => spacedPercent(average)), ""]],
  )
}

function meanEnd(curves: readonly LearningCurve[]): Pick<CurvePoint, "tasks" | "average"> {
  const ends = curves.map((curve) => curve.at(-1)!)
  const mean = (value: (point: CurvePoint) => number) => ends.reduce((sum, end) => sum + value(end), 0) / ends.length
  const names = Object.keys(ends[0]!.tasks)
  return {
    tasks: Object.fromEntries(names.map((name) => [name, mean((end) => end.tasks[name]!)])),
    average: mean(({ average }) => average),
  }
}

function indented(command: string): string {
  return command.replaceAll(/^/gm, "  ")
}
