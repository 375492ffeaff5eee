/**
 * The files beside the shards that say what came out: `failures.jsonl`, a line for everything that was left out and why;
 * `manifest.jsonl` (WebDataset) or `info.json` (JSONL), which readers of such datasets look for; `checkpoint.json`, the
 * summary that the original generator writes.
 */

import type { Problem } from "../../data/reinforced/sample.ts"
import { formatInfo, formatManifest } from "../../data/reinforced/tar/side-files.ts"
import type { Storage } from "../../data/stores/storage.ts"
import type { ShardResult, ShardTask } from "../runner.ts"
import { joinUrl, outputName } from "./output.ts"

/** A shard that could not be made at all. */
export interface FailedShard {
  readonly task: ShardTask
  readonly reason: string
}

export interface Outcome {
  /** In the order of the plan. */
  readonly results: readonly ShardResult[]
  readonly failed: readonly FailedShard[]
}

export async function writeSideFiles(
  storage: Storage,
  folder: string,
  output: "webdataset" | "jsonl",
  { results, failed }: Outcome,
): Promise<void> {
  const put = (name: string, text: string) => storage.put(joinUrl(folder, name), [new TextEncoder().encode(text)])
  const written = results.filter(({ samples }) => samples > 0)
  const counts = written.map((result) => [outputName(result, folder), result.samples] as const)
  await put("failures.jsonl", failureLines(results, failed))
  if (output === "jsonl") await put("info.json", formatInfo({ name: folderName(folder), lengths: new Map(counts) }))
  else await put("manifest.jsonl", manifestOf(counts))
  await put("checkpoint.json", `${JSON.stringify(checkpoint(written), null, 2)}\n`)
}

function manifestOf(counts: readonly (readonly [name: string, samples: number])[]): string {
  return formatManifest(counts.map(([name, samples]) => ({ shard: name.replace(/\.tar$/, ""), samples })))
}

function folderName(folder: string): string {
  return folder.replace(/\/+$/, "").replace(/^.*\//, "")
}

function failureLines(results: readonly ShardResult[], failed: readonly FailedShard[]): string {
  const problems = results.flatMap((result) =>
    result.problems.map((problem) => ({ index: result.index, line: failureLine(result.input, problem) })),
  )
  const shards = failed.map(({ task, reason }) => ({
    index: task.index,
    line: failureLine(task.input, { key: null, reason, action: "dropped" }),
  }))
  const lines = [...problems, ...shards].sort((a, b) => a.index - b.index)
  return lines.map(({ line }) => `${line}\n`).join("")
}

/** One line of failures.jsonl, without its end. */
function failureLine(shard: string, { key, reason, action }: Problem): string {
  return JSON.stringify({ shard, key, reason, action })
}

function checkpoint(results: readonly ShardResult[]) {
  return {
    input_paths: results.map(({ input }) => input),
    output_paths: results.map(({ output }) => output),
    num_uids: results.map(({ samples }) => samples),
    total_uids: results.reduce((sum, { samples }) => sum + samples, 0),
    time_seconds: results.map(({ seconds }) => Math.round(seconds * 1000) / 1000),
    total_time_h: results.reduce((sum, { seconds }) => sum + seconds, 0) / 3600,
  }
}
