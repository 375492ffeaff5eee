/** What `reinforce run`, `worker` and `status` do with their options. */
import { modelsRunOn } from "../../doctor/computing.ts"
import {
  joinJob,
  removeFromServer,
  retryOnServer,
  runOnWorkers,
  statusOnServer,
} from "../../reinforce/distributed/fleet.ts"
import { statsOnWorkers, verifyOnWorkers } from "../../reinforce/distributed/look-on-workers.ts"
import { natsSettings } from "../../reinforce/distributed/server/nats-settings.ts"
import type { Retried } from "../../reinforce/distributed/server/parking.ts"
import type { AttemptEvent } from "../../reinforce/distributed/worker/attempt.ts"
import type { Job } from "../../reinforce/job/job.ts"
import { progressReporter } from "../progress.ts"
import { shownPull } from "../pulling.ts"
import { jobStatusText } from "./job-status.ts"
import { jobOf, planOf, type ResourceOptions, resourcesOf, type ShardOptions } from "./shard-options.ts"
import { finish, type Output, planText } from "./summary.ts"
import { printStats, type StatsCommandOptions, statsOptions } from "./tools/stats.ts"
import { finishVerify, type VerifyCommandOptions, verifyOptions } from "./tools/verify.ts"

interface NatsOptions {
  readonly nats?: string
  /** Its name on the server. */
  readonly job?: string
}

export interface RunOptions extends ShardOptions, NatsOptions {
  readonly maxTries: number
  readonly stallTimeout: number
  readonly ackWait: number
}

export async function publish(
  stage: Job["stage"],
  options: RunOptions,
  signal: AbortSignal,
  output: Output,
): Promise<void> {
  const { maxTries, stallTimeout, ackWait, maxFailures } = options
  const [job, tasks] = [jobOf(stage, options), await planOf(options)]
  if (options.dryRun) return output.writeOut(planText(job, tasks, null, options.json))
  const outcome = await runOnWorkers(await natsSettings(options.nats, process.env), job, options.output, tasks, {
    ...(options.job !== undefined && { name: options.job }),
    ...{ maxTries, stallSeconds: stallTimeout, ackWaitSeconds: ackWait, maxFailures, signal },
    ...{ chooseType: options.dtype === "auto", pull: shownPull(output.writeErr) },
    startProgress: progressReporter(options.progress),
    onNote: (line) => output.writeErr(`${line}\n`),
  })
  finish(stage, outcome, options, output)
}

/** Belongs to a command whose workers look at shards. */
interface LookOptions extends NatsOptions {
  readonly input: readonly string[]
  readonly output: string
  readonly maxTries: number
  readonly stallTimeout: number
  readonly ackWait: number
}

export interface RunVerifyOptions extends VerifyCommandOptions, LookOptions {}

export async function publishVerify(options: RunVerifyOptions, signal: AbortSignal, output: Output): Promise<void> {
  const report = await verifyOnWorkers(await natsSettings(options.nats, process.env), options.input, options.output, {
    ...verifyOptions(options, signal, output.writeErr),
    ...queueOf(options),
  })
  finishVerify(report, options, output.writeOut)
}

export interface RunStatsOptions extends StatsCommandOptions, LookOptions {}

export async function publishStats(options: RunStatsOptions, signal: AbortSignal, output: Output): Promise<void> {
  const report = await statsOnWorkers(await natsSettings(options.nats, process.env), options.input, options.output, {
    ...statsOptions(options, signal),
    ...queueOf(options),
    onNote: (line) => output.writeErr(`${line}\n`),
  })
  printStats(report, options.json, output)
}

function queueOf({ job, maxTries, stallTimeout, ackWait }: LookOptions) {
  const policy = { maxTries, stallSeconds: stallTimeout, ackWaitSeconds: ackWait }
  return { ...policy, ...(job !== undefined && { name: job }) }
}

export interface WorkerOptions extends NatsOptions, ResourceOptions {
  readonly name?: string
  /** Folders and URLs that a job's output must be in; none: any output. */
  readonly outputRoot?: readonly string[]
}

export async function work(options: WorkerOptions, signal: AbortSignal, { writeErr, writeOut }: Output): Promise<void> {
  const { job, name, outputRoot, nats } = options
  if (options.verbose) writeErr(`${modelsRunOn(resourcesOf(options))}\n`)
  const summary = await joinJob(await natsSettings(nats, process.env), {
    ...resourcesOf(options),
    ...(job !== undefined && { job }),
    ...(name !== undefined && { name }),
    ...(outputRoot && { outputRoots: outputRoot }),
    pull: shownPull(writeErr),
    onNote: (line) => writeErr(`${line}\n`),
    onEvent: (event) => writeErr(`${eventText(event)}\n`),
    signal,
  })
  if (summary) writeOut(`${JSON.stringify(summary)}\n`)
}

function eventText(event: AttemptEvent): string {
  if (event.kind === "done") return `shard ${event.completion.index}: ${event.completion.samples} samples`
  if (event.kind === "malformed" && event.index === null) return `a message was dropped: ${event.reason}`
  const reason = "reason" in event ? ` (${event.reason})` : ""
  return `shard ${event.index}: ${eventNames[event.kind]}${reason}`
}

const eventNames = {
  doneElsewhere: "done elsewhere",
  failed: "failed",
  parked: "parked",
  released: "released",
  returned: "back to the queue, as this machine failed",
  malformed: "parked",
} as const satisfies Record<Exclude<AttemptEvent["kind"], "done">, string>

export interface StatusOptions extends NatsOptions {
  readonly retryParked?: true
  readonly remove?: true
  readonly json?: true
}

export async function showStatus(options: StatusOptions, { writeOut, writeErr }: Output): Promise<void> {
  const nats = await natsSettings(options.nats, process.env)
  let { job } = options
  if (options.remove) {
    return writeErr(`job ${await removeFromServer(nats, job)} was removed; its outputs stay where they are\n`)
  }
  if (options.retryParked) {
    const retried = await retryOnServer(nats, job, (text) => writeErr(`${text}\n`))
    writeErr(retriedText(retried))
    job = retried.job
  }
  const status = await statusOnServer(nats, job)
  writeOut(`${options.json ? JSON.stringify(status, null, 2) : jobStatusText(status, Date.now())}\n`)
}

function retriedText({ queued, forgotten }: Retried): string {
  const back = `${queued} shards are back in the queue\n`
  return forgotten === 0 ? back : `${back}${forgotten} more come back with the same \`reinforce run\`\n`
}
