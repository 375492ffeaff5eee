/** `auto` is settled once, by the one who begins a job; measurements are given. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { writeCheckpoint } from "../../../test/tiny-model.ts"
import { openStorage } from "../../data/stores/open.ts"
import type { chooseRuntime, RuntimeRecord } from "../../teachers/choose-runtime.ts"
import { defaultFormat, defaultMinImageSize, type Job } from "../job/job.ts"
import { Ledger } from "../job/ledger.ts"
import { planShards } from "../job/plan.ts"
import { captionJob, embeddingJob } from "../job/stage-jobs.ts"
import { shareOut } from "../local/resources.ts"
import { bringModels } from "./open-stage.ts"
import { type SettleOptions, settleType } from "./settle-type.ts"

const storage = openStorage()
const { resources } = shareOut({ threads: 1 }, 1)

let folder: string
let checkpoint: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "settle-type-"))
  checkpoint = writeCheckpoint(join(folder, "tiny.safetensors"))
})
afterEach(() => rmSync(folder, { recursive: true }))

const output = () => join(folder, "out")
const jobOf = (stage: Job["stage"]): Job => ({
  ...{ stage, format: defaultFormat, seed: 0, minImageSize: defaultMinImageSize },
})

/** As if it had been measured. */
function choosing(dtype: "bf16" | "fp32"): typeof chooseRuntime {
  const runtime = dtype === "bf16" ? "libtorch" : "onnxruntime"
  const measured = { chosenBy: "measurement", cosine: 0.9998, milliseconds: 12 } as const
  const record: RuntimeRecord = { runtime, device: "cpu", dtype, ...measured }
  return async () => ({ record, options: {}, reason: `${dtype} is faster` })
}
const never: typeof chooseRuntime = () => Promise.reject(new Error("nothing is to be measured"))

/** Settled, and begun; with what was said. */
async function begin(job: Job, choose: typeof chooseRuntime, options: SettleOptions = { chooseType: true }) {
  const notes: string[] = []
  const onNote = (line: string) => notes.push(line)
  const settled = await settleType(job, storage, output(), resources, { ...options, onNote }, choose)
  const tasks = planShards(["in/0.tar"], output(), job.format)
  await Ledger.open(storage, output(), settled.job, tasks, undefined, settled.runtime ?? undefined)
  return { ...settled, notes, saved: JSON.parse(readFileSync(join(output(), "config.json"), "utf8")) }
}

test("what was measured becomes a part of the job, is recorded, and holds when the job goes on", async () => {
  const job = jobOf(embeddingJob({ modelName: checkpoint }))
  const first = await begin(job, choosing("bf16"))
  expect(first.job).toEqual({ ...job, stage: { ...job.stage, dtype: "bf16" } })
  expect(first.notes).toEqual(["bf16 is faster"])
  expect(first.saved.runtime).toEqual(first.runtime)
  // On a machine that would choose otherwise, or could not measure at all.
  const later = await begin(job, never)
  expect([later.job, later.runtime]).toEqual([first.job, null])
  expect(later.notes).toEqual([`--dtype auto: bf16, with which ${output()} was begun`])
  expect(later.saved).toEqual(first.saved)
})

test("float32 leaves the job as it is without a type, so that a run without auto goes on", async () => {
  const job = jobOf(embeddingJob({ modelName: checkpoint }))
  const { job: settled, saved } = await begin(job, choosing("fp32"))
  expect(settled).toEqual(job)
  expect(saved.runtime).toMatchObject({ runtime: "onnxruntime", dtype: "fp32", chosenBy: "measurement" })
  expect((await begin(job, never)).notes).toEqual([
    `--dtype auto: weights as they are, with which ${output()} was begun`,
  ])
  expect((await begin(job, never, {})).job).toEqual(job)
})

test("a job that was begun with something else is measured anew", async () => {
  await begin(jobOf(embeddingJob({ modelName: checkpoint, numSamples: 3 })), choosing("bf16"))
  const { job } = await begin(jobOf(embeddingJob({ modelName: checkpoint })), choosing("fp32"))
  expect(job.stage.dtype).toBeNull()
})

test("what a user says is tried and stays, and nothing else is measured", async () => {
  const said = jobOf(embeddingJob({ modelName: checkpoint, dtype: "bf16" }))
  const { job, runtime } = await begin(said, choosing("bf16"), {})
  expect([job, runtime?.dtype]).toEqual([said, "bf16"])
  for (const stage of [embeddingJob({ modelName: checkpoint }), captionJob({ modelName: checkpoint, dtype: "bf16" })]) {
    expect(await settleType(jobOf(stage), storage, output(), resources, {}, never)).toMatchObject({ runtime: null })
  }
})

test("a worker follows the job to libtorch, or refuses in a line", async () => {
  const job = jobOf(embeddingJob({ modelName: checkpoint, dtype: "bf16" }))
  expect(await bringModels(job, resources)).toMatchObject([{ kind: "checkpoint", path: checkpoint }])
  await expect(bringModels(job, { ...resources, runtime: "onnxruntime" })).rejects.toThrow(
    "bf16 is a type of libtorch's",
  )
})
