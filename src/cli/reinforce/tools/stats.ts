/** What `reinforce stats` and `reinforce run stats` do with their options. */
import type { StatsReport } from "../../../reinforce/tools/stats/stats.ts"
import type { StatsOptions } from "../../../reinforce/tools/tool-options.ts"
import { type ProgressMode, progressReporter } from "../../progress.ts"
import type { Output } from "../summary.ts"
import { statsText } from "./stats-text.ts"

export interface StatsCommandOptions {
  readonly samples: number
  readonly seed: number
  readonly tagSuffix: string
  readonly teacherWidths?: readonly number[]
  readonly contactSheet?: string
  readonly rows: number
  readonly views: number
  readonly size: number
  readonly progress: ProgressMode
  readonly json?: true
}

export function statsOptions(options: StatsCommandOptions, signal: AbortSignal): StatsOptions {
  const { samples, seed, tagSuffix, teacherWidths, contactSheet: file, rows, views, size } = options
  return {
    ...{ samples, seed, tagSuffix, signal },
    ...(teacherWidths && { teacherWidths }),
    ...(file !== undefined && { contactSheet: { file, rows, views, size } }),
    startProgress: progressReporter(options.progress),
  }
}

export function printStats(report: StatsReport, json: true | undefined, { writeOut }: Output): void {
  writeOut(`${json ? JSON.stringify(report, null, 2) : statsText(report)}\n`)
}
