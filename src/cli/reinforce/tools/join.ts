/** What `reinforce join` does with its options. */
import { UserError } from "../../../core/errors.ts"
import { type JoinReport, joinShards } from "../../../reinforce/tools/join/join.ts"
import { PartialSuccess } from "../../errors.ts"
import { type ProgressMode, progressReporter } from "../../progress.ts"
import type { Output } from "../summary.ts"
import { type FormatOptions, joinFormat } from "./format-option.ts"
import { joinText } from "./join-text.ts"

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
