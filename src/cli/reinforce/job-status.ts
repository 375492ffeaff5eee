/** `mobileclip reinforce status` for people. */
import { oneLine } from "../../core/errors.ts"
import { shortIdentity } from "../../core/inference/teacher-identity.ts"
import type { JobStatus } from "../../reinforce/distributed/status.ts"
import { durationText, rateText } from "../../report/numbers.ts"
import { textTable } from "../table.ts"

/** Parked shards and workers that are shown one by one. */
const shown = 20

/** @param now milliseconds since 1970 */
export function jobStatusText(status: JobStatus, now: number): string {
  return [summary(status), workersText(status, now), parkedText(status), unreadableText(status)]
    .filter(Boolean)
    .join("\n\n")
}

function summary(status: JobStatus): string {
  const { job, shards, queued, inFlight, done, parked, workers, samples, dropped, bytes, models, stopped } = status
  const share = shards > 0 ? Math.floor((100 * done) / shards) : 0
  const rows = [
    [
      "shards",
      `${done} of ${shards} done (${share}%), ${inFlight} in flight, ${queued} queued, ${parked.length} parked`,
    ],
    ["samples", `${samples.toLocaleString("en")} done, ${dropped.toLocaleString("en")} dropped, ${gigabytes(bytes)}`],
    ["workers", `${workers.length}, ${rateText(status.samplesPerSecond)} samples`],
    ["time left", leftText(status)],
    ...(models === null ? [] : [["models", oneLine(shortIdentity(models), 300)]]),
    ...(stopped === null ? [] : [["stopped", oneLine(stopped, 500)]]),
  ]
  return textTable([{ title: `job ${job}` }, { title: "" }], rows)
}

function leftText({ secondsLeft, workers }: JobStatus): string {
  if (secondsLeft !== null) return secondsLeft === 0 ? "none" : durationText(secondsLeft)
  return workers.length === 0 ? "no worker is there" : "not known yet"
}

function workersText({ workers }: JobStatus, now: number): string {
  if (workers.length === 0) return ""
  const rows = workers
    .slice(0, shown)
    .map(({ id, host, slots, shards, shardsDone, samplesPerSecond, at }) => [
      oneLine(id),
      oneLine(host),
      shards.map(({ index, samples }) => `${index} (${samples})`).join(" ") || "-",
      `${shards.length}/${slots}`,
      String(shardsDone),
      rateText(samplesPerSecond),
      durationText(Math.max(0, now - at) / 1000),
    ])
  const titles = ["worker", "host", "shard (samples)", "slots", "done", "samples", "seen before"]
  return textTable(titles.map(column), rows) + more(workers.length, "workers")
}

function parkedText({ parked }: JobStatus): string {
  if (parked.length === 0) return ""
  const rows = parked
    .slice(0, shown)
    .map(({ index, task, tries, reason }) => [
      String(index),
      oneLine(task?.input ?? "-", 200),
      String(tries),
      oneLine(reason, 500),
    ])
  const hint = "\n\nback into the queue with: mobileclip reinforce status --retry-parked"
  return textTable(["parked", "shard", "tries", "reason"].map(column), rows) + more(parked.length, "shards") + hint
}

function unreadableText({ unreadable }: JobStatus): string {
  if (unreadable.length === 0) return ""
  return ["not used:", ...unreadable.slice(0, shown)].join("\n") + more(unreadable.length, "entries")
}

function more(count: number, unit: string): string {
  return count > shown ? `\n... and ${count - shown} more ${unit}` : ""
}

function column(title: string): { readonly title: string } {
  return { title }
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`
}
