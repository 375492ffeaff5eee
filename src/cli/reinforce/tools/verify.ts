/** What `reinforce verify` does with its options. */
import { UserError } from "../../../core/errors.ts"
import type { VerifyOptions } from "../../../reinforce/tools/tool-options.ts"
import { type AgainstReport, compareShards } from "../../../reinforce/tools/verify/against.ts"
import { type VerifyReport, verifyShards } from "../../../reinforce/tools/verify/verify.ts"
import { type ProgressMode, progressReporter } from "../../progress.ts"
import { shownPull } from "../../pulling.ts"
import { type ResourceOptions, resourcesOf } from "../shard-options.ts"
import { embeddingRequest } from "../stage-options.ts"
import type { Output } from "../summary.ts"
import { againstText, verifyText } from "./verify-text.ts"

export interface VerifyCommandOptions extends ResourceOptions {
  readonly samples: number
  readonly seed: number
  readonly threshold: number
  readonly teacherWidths?: readonly number[]
  readonly against?: string
  readonly modelName?: string
  readonly pretrained?: string
  readonly augConfig?: string
  readonly tagSuffix: string
  readonly progress: ProgressMode
  readonly json?: true
}

export async function runVerify(
  shards: readonly string[],
  options: VerifyCommandOptions,
  signal: AbortSignal,
  { writeOut, writeErr }: Output,
): Promise<void> {
  const { against, json } = options
  const startProgress = progressReporter(options.progress)
  if (against !== undefined) {
    const report = await compareShards(shards, against, { signal, startProgress })
    writeOut(`${json ? JSON.stringify(report, null, 2) : againstText(report)}\n`)
    return requireSame(report, against)
  }
  finishVerify(await verifyShards(shards, verifyOptions(options, signal, writeErr)), options, writeOut)
}

export function verifyOptions(
  options: VerifyCommandOptions,
  signal: AbortSignal,
  writeErr: Output["writeErr"],
): VerifyOptions {
  const { samples, seed, threshold, teacherWidths } = options
  return {
    ...resourcesOf(options),
    ...{ samples, seed, threshold, signal, ...teachersOf(options) },
    ...(teacherWidths && { teacherWidths }),
    startProgress: progressReporter(options.progress),
    pull: shownPull(writeErr),
    onNote: (line) => writeErr(`${line}\n`),
  }
}

/** Prints the report. Throws UserError where anything is wrong. */
export function finishVerify(
  report: VerifyReport,
  { json, samples }: VerifyCommandOptions,
  writeOut: Output["writeOut"],
): void {
  writeOut(`${json ? JSON.stringify(report, null, 2) : verifyText(report, samples)}\n`)
  requireSound(report)
}

function teachersOf(options: VerifyCommandOptions): Pick<VerifyOptions, "teachers"> {
  const { samples, modelName, pretrained, augConfig, tagSuffix } = options
  if (modelName === undefined || samples === 0) return {}
  const given = { ...(pretrained !== undefined && { pretrained }), ...(augConfig !== undefined && { augConfig }) }
  return { teachers: embeddingRequest({ modelName, tagSuffix, ...given }) }
}

function requireSame({ differences }: AgainstReport, folder: string): void {
  if (differences.length > 0)
    throw new UserError(
      `${differences.length === 1 ? "1 shard differs" : `${differences.length} shards differ`} from those of ${folder}`,
    )
}

function requireSound({ problems }: VerifyReport): void {
  const [first] = problems
  if (!first) return
  const where = [first.shard, ...(first.key === null ? [] : [first.key])].join(", ")
  throw new UserError(
    `${problems.length === 1 ? "1 problem" : `${problems.length} problems; the first`}: ${where}: ${first.reason}`,
  )
}
