/** A job on a server, for people. */
import type { JobStatus } from "../../reinforce/distributed/status.ts"
import { durationText } from "../progress.ts"
import { textTable } from "../table.ts"

export function statusText(status: JobStatus): string {
  const { parked, workers } = status
  const tables = [
    ...(workers.length > 0 ? [workersText(status)] : []),
    ...(parked.length > 0 ? [parkedText(status)] : []),
  ]
  return `${[headText(status), ...tables].join("\n\n")}\n`
}

function headText(status: JobStatus): string {
  const { job, shards, queued, inFlight, done, parked, workers, samples, dropped, bytes } = status
  const left = status.secondsLeft === null ? "unknown" : durationText(status.secondsLeft)
  const lines = [
    `${job}: ${done} of ${shards} shards done, ${inFlight} in flight, ${queued} queued, ${parked.length} parked`,
    `${samples} samples, ${dropped} left out, ${(bytes / 1e9).toFixed(2)} GB`,
    `${workers.length} workers, ${status.samplesPerSecond.toFixed(1)} samples/s, time left: ${left}`,
    ...(status.stopped === null ? [] : [`stopped: ${status.stopped}`]),
  ]
  return lines.join("\n")
}

function workersText({ workers }: JobStatus): string {
  const now = Date.now()
  return textTable(
    [
      { title: "worker" },
      { title: "host" },
      { title: "at work on" },
      { title: "done", align: "right" },
      { title: "samples/s", align: "right" },
      { title: "seen", align: "right" },
    ],
    workers.map(({ id, host, shards, shardsDone, samplesPerSecond, at }) => [
      ...[id, host, shards.map(({ index, samples }) => `${index} (${samples})`).join(", ") || "-"],
      ...[String(shardsDone), samplesPerSecond.toFixed(1), `${Math.max(0, Math.round((now - at) / 1000))} s ago`],
    ]),
  )
}

function parkedText({ parked }: JobStatus): string {
  return textTable(
    [{ title: "parked", align: "right" }, { title: "input" }, { title: "tries", align: "right" }, { title: "reason" }],
    parked.map(({ task, tries, reason }) => [String(task.index), task.input, String(tries), reason]),
  )
}
