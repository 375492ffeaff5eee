import { expect, test } from "vitest"
import type { JobStatus } from "../../reinforce/distributed/status.ts"
import { jobStatusText } from "./job-status.ts"

const now = 1_000_000

const status: JobStatus = {
  ...{ job: "dr12m", shards: 1024, queued: 1000, inFlight: 2, done: 20, samples: 249_990, dropped: 10, bytes: 31.25e9 },
  parked: [
    {
      index: 7,
      task: { index: 7, input: "s3://in/7.tar", output: "s3://out/7.tar" },
      ...{ reason: "not a tar", tries: 5, failures: [], at: now },
    },
  ],
  workers: [
    {
      ...{
        id: "gpu-1-ab",
        host: "gpu-1",
        pid: 1,
        slots: 2,
        shardsDone: 9,
        samplesPerSecond: 15.2,
        since: 0,
        at: now - 3000,
      },
      shards: [{ index: 21, samples: 512 }],
    },
  ],
  ...{ samplesPerSecond: 15.2, secondsLeft: 7384, stopped: null, models: null, unreadable: [] },
}

test("a job at work", () => {
  expect(jobStatusText(status, now)).toBe(`\
job dr12m
shards     20 of 1024 done (1%), 2 in flight, 1000 queued, 1 parked
samples    249,990 done, 10 dropped, 31.3 GB
workers    1, 15/s samples
time left  2 h 03 min

worker    host   shard (samples)  slots  done  samples  seen before
gpu-1-ab  gpu-1  21 (512)         1/2    9     15/s     3.0 s

parked  shard          tries  reason
7       s3://in/7.tar  5      not a tar

back into the queue with: mobileclip reinforce status --retry-parked`)
})

test("a job without workers, and one that was stopped", () => {
  const idle = { ...status, workers: [], parked: [], samplesPerSecond: 0, secondsLeft: null }
  expect(jobStatusText(idle, now).split("\n").slice(-2)).toEqual([
    "workers    0, 0.0/min samples",
    "time left  no worker is there",
  ])
  expect(jobStatusText({ ...idle, stopped: "too many failures" }, now)).toMatch(/\nstopped {4}too many failures$/)
})

test("models are told with as much of their hashes as the eye compares", () => {
  const [one, other] = ["0123456789abcdef".repeat(4), "fedcba9876543210".repeat(4)]
  const models = `vit image.onnx=sha256:${one} text.onnx=sha256:${other} 224px`
  expect(jobStatusText({ ...status, models }, now)).toContain(
    "\nmodels     vit image.onnx=sha256:0123456789ab text.onnx=sha256:fedcba987654 224px\n",
  )
})

test("many workers and parked shards are cut", () => {
  const many = { ...status, workers: Array(25).fill(status.workers[0]), parked: Array(21).fill(status.parked[0]) }
  expect(jobStatusText(many, now)).toContain("\n... and 5 more workers\n")
  expect(jobStatusText(many, now)).toContain("\n... and 1 more shards\n")
})
