/** What `mobileclip evaluate` prints at its end. */
import type { SuiteReport } from "../../benchmark/run/evaluate-suite.ts"
import { formatted, type ResultFormat } from "../../benchmark/run/result-formats.ts"
import type { TaskResult } from "../../benchmark/run/task-result.ts"
import { commandLine } from "../../core/shell-quote.ts"
import { groupAverages, mainMetricOf } from "../../evaluate/suite/averages.ts"
import { predictAverage } from "../../evaluate/suite/quick.ts"
import { durationText } from "../../report/numbers.ts"
import { spacedPercent, textTable } from "../table.ts"

interface Written {
  readonly out: string | undefined
  /** Where files in another format are. */
  readonly folders: readonly string[]
}

export function suiteSummary(report: SuiteReport, written: Written): string {
  const parts = [taskTable(report), averageTable(report), ...predictionLines(report), nextLines(report, written)]
  return parts.filter((part) => part !== "").join("\n\n")
}

function taskTable({ models }: SuiteReport): string {
  const keys = [...new Set(models.flatMap(({ results }) => results.map(({ key }) => key)))]
  if (keys.length === 0) return "no task was done"
  const right = (title: string) => ({ title, align: "right" as const })
  const rows = keys.map((key) => {
    const results = models.map((model) => model.results.find((result) => result.key === key))
    const { details } = results.find((result) => result)!
    // All models share one pass over the pictures, which is in the seconds of each.
    const seconds = Math.max(...results.map((result) => result?.details?.seconds ?? 0))
    return [
      ...[key, details?.mainMetric ?? "none", ...results.map(scoreText), shareText(details?.chance ?? null)],
      ...[details ? details.answers.toLocaleString("en") : "", durationText(seconds)],
    ]
  })
  const names = models.length === 1 ? ["score"] : models.map(({ name }) => name)
  const titles = [...names, "chance", "answers", "time"].map(right)
  return textTable([{ title: "task" }, { title: "main metric" }, ...titles], rows)
}

function scoreText(result: TaskResult | undefined): string {
  return result ? shareText(mainMetricOf(result)) : ""
}

function shareText(share: number | null): string {
  return share === null ? "" : spacedPercent(share)
}

/** Averages of groups whose tasks are all there; nothing where there is none. */
function averageTable({ models }: SuiteReport): string {
  const each = models.map(({ results }) => groupAverages(results))
  const rows = (each[0] ?? []).flatMap(({ group }, i) => {
    const averages = each.map((groups) => groups[i]!.average)
    const isKnown = group.keys.length > 1 && averages.some((average) => average !== null)
    return isKnown ? [[`${group.name} (${group.keys.length})`, ...averages.map(shareText)]] : []
  })
  const names = models.length === 1 ? ["average"] : models.map(({ name }) => name)
  if (rows.length === 0) return ""
  return textTable([{ title: "group" }, ...names.map((title) => ({ title, align: "right" as const }))], rows)
}

function predictionLines({ suite, models }: SuiteReport): string[] {
  if (suite !== "quick") return []
  const lines = models.map(({ name, results }) => {
    const found = predictAverage(results)
    if (!found) return `${name}: the average over 38 cannot be predicted while tasks are missing`
    const { average, error, extrapolates } = found
    const outside = extrapolates ? "; it is outside of the range of the models that the prediction was fitted on" : ""
    return `${name}: predicted average over 38: ${spacedPercent(average)} +- ${(100 * error).toFixed(1)} (one standard error, from models that it was not fitted on)${outside}`
  })
  return [lines.join("\n")]
}

function nextLines({ suite }: SuiteReport, { out, folders }: Written): string {
  const files = folders.length > 0 ? [`files in ${folders.join(", ")}`] : []
  if (out === undefined) return ["results were not written: --out names a folder for them", ...files].join("\n")
  const published = suite === "datacomp" || suite === "all" ? ["--published", "MobileCLIP2-S0"] : []
  const next = commandLine(["mobileclip", "evaluate", "compare", out, ...published])
  return [`results: ${out}`, ...files, "next:", `  ${next}`].join("\n")
}

/** Tasks of the suite that are not at the root. */
export function absentText({ absent, data }: SuiteReport): string {
  const keys = absent.map(({ key }) => key)
  const shown = keys.length > 8 ? `${keys.slice(0, 8).join(", ")} and ${keys.length - 8} more` : keys.join(", ")
  return `left out, because ${data} has no folder of them: ${shown}`
}

export function reportJson(report: SuiteReport) {
  const { data, suite, models, failures, absent } = report
  const described = models.map(({ name, folder, results }) => ({
    ...{ name, folder, results },
    averages: Object.fromEntries(groupAverages(results).map(({ group, average }) => [group.name, average])),
    prediction: suite === "quick" ? predictAverage(results) : null,
  }))
  return { data, suite, models: described, failures, absent }
}

/** A line of JSON for each result. */
export function formattedLines({ models }: SuiteReport, format: Exclude<ResultFormat, "jsonl">): string {
  return models
    .flatMap(({ name, results }) =>
      results.map((result) => `${JSON.stringify(formatted(format, result, name).content)}\n`),
    )
    .join("")
}
