/** What the stages say: the plan before, the outcome after. */
import type { Command } from "commander"
import { commandLine } from "../../core/shell-quote.ts"
import type { Job } from "../../reinforce/job/job.ts"
import type { Shared } from "../../reinforce/local/resources.ts"
import { droppedIn, leftOutOf, type RunOutcome, requireNotStopped } from "../../reinforce/local/run-shards.ts"
import type { ShardTask } from "../../reinforce/runner.ts"
import { PartialSuccess } from "../errors.ts"
import type { ShardOptions } from "./shard-options.ts"

export interface Output {
  writeOut(text: string): void
  writeErr(text: string): void
}

export function outputOf(command: Command): Output {
  const { writeOut = () => {}, writeErr = () => {} } = command.configureOutput()
  return { writeOut, writeErr }
}

/** @param shared how this machine shares the work out; null where workers elsewhere do it */
export function planText(job: Job, tasks: readonly ShardTask[], shared: Shared | null, json?: true): string {
  if (json) return `${JSON.stringify({ job, ...shared, shards: tasks }, null, 2)}\n`
  const [first] = tasks
  const lines = [
    `${tasks.length} shards: ${first!.input} -> ${first!.output}${tasks.length > 1 ? ", ..." : ""}`,
    `stage: ${JSON.stringify(job.stage)}`,
    `format: ${JSON.stringify(job.format)}`,
    ...(shared ? [sharedText(shared)] : []),
  ]
  return `${lines.join("\n")}\n`
}

export function sharedText({ workers, resources: { threads, augmentThreads } }: Shared): string {
  return `${workers} workers, each with ${threads} threads for models and ${augmentThreads} more for pictures`
}

/** Prints the outcome, and what follows it. Throws where the run did not come to its end, or left something out. */
export function finish(
  stage: Job["stage"],
  outcome: RunOutcome,
  { output: folder, maxFailures, json }: Pick<ShardOptions, "output" | "maxFailures" | "json">,
  { writeOut, writeErr }: Output,
): void {
  const totals = totalsOf(outcome)
  const next = outcome.stopped === null ? `${nextText(stage, folder)}\n` : ""
  writeOut(
    json ? `${JSON.stringify({ output: folder, ...totals }, null, 2)}\n` : `${summaryText(folder, totals)}\n${next}`,
  )
  requireNotStopped(outcome, folder, maxFailures)
  if (outcome.stopped === "interrupted") writeErr("stopped; the same command goes on\n")
  else if (leftOutOf(outcome) > 0) {
    throw new PartialSuccess(`${folder}/failures.jsonl says what was left out and why`)
  }
}

function nextText({ kind, modelName }: Job["stage"], output: string): string {
  const scales = `loss.teacherScales=[${modelName.split(",").map(() => 70)}]`
  const words =
    kind === "caption"
      ? ["reinforce", "embed", "--input", output, "--output", "reinforced", "--model-name", "TEACHER"]
      : ["train", "--train-data", output, "--dataset-reinforcement", "--out", "runs/mine", "loss.kind=distill", scales]
  return `next:   ${commandLine(["mobileclip", ...words])}`
}

function totalsOf({ results, failed, resumed, stopped }: RunOutcome) {
  const total = (count: (result: RunOutcome["results"][number]) => number) =>
    results.reduce((sum, result) => sum + count(result), 0)
  return {
    shards: results.length,
    resumedShards: resumed,
    failedShards: failed.length,
    samples: total(({ samples }) => samples),
    dropped: total(({ problems }) => droppedIn(problems)),
    bytes: total(({ bytes }) => bytes),
    stopped,
  }
}

function summaryText(folder: string, totals: ReturnType<typeof totalsOf>): string {
  const { shards, resumedShards, failedShards, samples, dropped, bytes } = totals
  const parts = [
    `${samples} samples in ${shards} ${shards === 1 ? "shard" : "shards"} (${resumedShards} from before)`,
    `${(bytes / 1e6).toFixed(1)} MB`,
    ...(samples > 0 ? [`${(bytes / samples / 1000).toFixed(1)} kB a sample`] : []),
    ...(dropped > 0 ? [`${dropped} samples left out`] : []),
    ...(failedShards > 0 ? [`${failedShards} ${failedShards === 1 ? "shard" : "shards"} failed`] : []),
  ]
  return `${folder}: ${parts.join(", ")}`
}
