/** What `reinforce join` does with its options. */
import { UserError } from "../../../core/errors.ts"
import { type JoinReport, joinShards } from "../../../reinforce/tools/join/join.ts"
import { PartialSuccess } from "../../errors.ts"
import { type ProgressMode, progressReporter } from "../../progress.ts"
import { textTable } from "../../table.ts"
import type { Output } from "../summary.ts"
import { type FormatOptions, joinFormat } from "./format-option.ts"

export interface JoinCommandOptions extends FormatOptions {
  readonly images: readonly string[]
  readonly reinforcements: readonly string[]
  readonly output: string
  readonly key?: string
  readonly byName?: true
  readonly allowChanged?: true
  readonly requireAll?: true
  readonly maxFailures: number
  readonly maxIndexMb: number
  readonly progress: ProgressMode
  readonly json?: true
}

export async function runJoin(options: JoinCommandOptions, signal: AbortSignal, output: Output): Promise<void> {
  const { images, reinforcements, key, byName, allowChanged = false, maxFailures, maxIndexMb } = options
  const format = joinFormat(options)
  const report = await joinShards({
    ...{ images, reinforcements, output: options.output, allowChanged, maxFailures, signal },
    ...(key !== undefined && { keyField: key }),
    ...(byName && { match: "name" }),
    ...(format && { format }),
    maxIndexBytes: maxIndexMb * 2 ** 20,
    startProgress: progressReporter(options.progress),
  })
  output.writeOut(`${options.json ? JSON.stringify(report, null, 2) : joinText(report)}\n`)
  requireComplete(report, options)
}

/** Throws where the join did not come to its end, or left something out. */
function requireComplete(report: JoinReport, { output, requireAll, maxFailures }: JoinCommandOptions): void {
  const { stopped, withoutImage, withoutReinforcement, failures, changed, failedShards } = report
  if (stopped === "too many failures") {
    throw new UserError(
      `stopped: more than ${maxFailures} images had to be left out (--max-failures)`,
      `${output}/failures.jsonl says why; the same command goes on`,
    )
  }
  if (stopped === "interrupted") throw new UserError("stopped before the end", "the same command goes on")
  if (requireAll && withoutImage + withoutReinforcement + failures > 0) {
    throw new UserError(
      `${withoutReinforcement} images without reinforcement, ${withoutImage} reinforcements without image, ${failures} failures (--require-all)`,
      `${output}/failures.jsonl names the images`,
    )
  }
  if (failures + changed + failedShards.length > 0) {
    throw new PartialSuccess(`${output}/failures.jsonl says what was left out and why`)
  }
}

function joinText(report: JoinReport): string {
  const { images, reinforcements, matched } = report
  const rows: [string, number][] = [
    ["image shards", images.shards],
    ["images", images.samples],
    ["reinforcement shards", reinforcements.shards],
    ["reinforcements", reinforcements.keys],
    ["matched", matched],
    ["images without reinforcement", report.withoutReinforcement],
    ["reinforcements without image", report.withoutImage],
    ["images whose key came before", images.duplicates],
    ["reinforcements whose key came before", reinforcements.duplicates],
    ["pictures that have changed", report.changed],
    ["samples that failed", report.failures],
    ["shards that failed", report.failedShards.length],
  ]
  const table = textTable(
    [{ title: "join" }, { title: "count", align: "right" }],
    rows.map(([name, count]) => [name, String(count)]),
  )
  const size = matched > 0 ? `, ${(report.bytes / matched / 1000).toFixed(1)} kB a sample` : ""
  const failed = report.failedShards.map(({ shard, reason }) => `${shard}: ${reason}`)
  return [table, `${(report.bytes / 1e6).toFixed(1)} MB${size}`, ...failed].join("\n")
}
