/**
 * Data generation with faulty machines, compared with one process byte for byte: healthy workers, one whose temporary folder is
 * a full disk of 3 MB, one without credentials, one whose credentials expired, one with another model file, and a bad
 * message every second. Exit code 1 where a goal is not met. The full disk needs root's rights.
 *
 *     node dist/bench/hostile-chain.js                       200 shards, 4 healthy workers
 *     node dist/bench/hostile-chain.js --shards 20 --json
 */
import { parseArgs } from "node:util"
import { type HostileReport, runHostileChain, unmet, type WorkerReport } from "../test/hostile-chain.ts"

const { values } = parseArgs({
  options: {
    shards: { type: "string", default: "200" },
    samples: { type: "string", default: "8" },
    views: { type: "string", default: "4" },
    workers: { type: "string", default: "4" },
    /** How long the store waits before each answer, in seconds. */
    delay: { type: "string", default: "0.1" },
    "max-seconds": { type: "string", default: "900" },
    "no-bad-workers": { type: "boolean", default: false },
    "no-bad-messages": { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
})

const report = await runHostileChain({
  ...{ shards: Number(values.shards), samplesPerShard: Number(values.samples), views: Number(values.views) },
  ...{ workers: Number(values.workers), storeDelaySeconds: Number(values.delay) },
  ...{ patienceSeconds: 30, badWorkers: !values["no-bad-workers"], badMessages: !values["no-bad-messages"] },
  ...{ maxSeconds: Number(values["max-seconds"]), log: (line) => process.stderr.write(`${line}\n`) },
})
const faults = unmet(report)
if (values.json)
  console.log(
    JSON.stringify({ ...report, unmet: faults }, (_, value) => (value instanceof RegExp ? value.source : value), 2),
  )
else for (const line of table(report)) console.log(line)
process.exitCode = faults.length === 0 ? 0 : 1

function table(report: HostileReport): string[] {
  const { shards, done, samples, parked, badMessages, seconds, singleSeconds, different } = report
  const same = different.length === 0 ? "identical to one process's" : `${different.length} differ`
  return [
    `${"worker".padEnd(22)}${"shards".padStart(8)}${"exit".padStart(8)}  its last words`,
    ...report.workers.map(row),
    "",
    `${shards} shards, ${done} done, ${report.madeTwice.length} made twice, ${parked.length} parked; ${samples} samples; bytes ${same}`,
    `${badMessages.published} bad messages published, ${badMessages.parked} of them parked`,
    `${seconds.toFixed(1)} s; one process ${singleSeconds.toFixed(1)} s`,
    ...report.leftOut.map((text) => `left out: ${text}`),
    ...(faults.length === 0 ? ["every line of the goal is met"] : faults.map((text) => `NOT MET: ${text}`)),
  ]
}

function row({ name, shards, exitCode, words }: WorkerReport): string {
  return `${name.padEnd(22)}${String(shards).padStart(8)}${String(exitCode ?? "stays").padStart(8)}  ${words.join(" / ")}`
}
