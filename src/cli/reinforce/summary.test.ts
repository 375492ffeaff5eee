import { expect, test } from "vitest"
import { EnvironmentError } from "../../core/errors.ts"
import type { Job } from "../../reinforce/job/job.ts"
import { captionJob, embeddingJob } from "../../reinforce/job/stage-jobs.ts"
import type { RunOutcome } from "../../reinforce/local/run-shards.ts"
import { finish } from "./summary.ts"

const made = { ...{ index: 0, input: "in/0.tar", output: "out/0.tar", samples: 3 }, problems: [], bytes: 3000 }
const results = [{ ...made, sha256: "x", models: "m", seconds: 1 }]

const stage = captionJob({ modelName: "models/coca" })

function finished(outcome: Partial<RunOutcome>, of: Job["stage"] = stage) {
  let text = ""
  const output = {
    writeOut: (more: string) => {
      text += more
    },
    writeErr: () => {},
  }
  try {
    finish(
      of,
      { results, failed: [], resumed: 0, stopped: null, ...outcome },
      { output: "out", maxFailures: 1 },
      output,
    )
    return { text, error: null }
  } catch (error) {
    return { text, error }
  }
}

test("stored embeddings are trained on next, with a scale for each teacher", () => {
  const { text } = finished({}, embeddingJob({ modelName: "models/a,models/b", numSamples: 2 }))
  expect(text).toContain(
    "next:   mobileclip train --train-data out --dataset-reinforcement --out runs/mine loss.kind=distill 'loss.teacherScales=[70,70]'\n",
  )
})

test("a run that the machine stopped says what was done, why it stopped and how to go on", () => {
  expect(finished({}).error).toBe(null)
  expect(finished({}).text).toContain("next:   mobileclip reinforce embed --input out --output reinforced ")
  const { text, error } = finished({ stopped: "environment", outage: new EnvironmentError("disk full") })
  expect(text).toBe("out: 3 samples in 1 shard (0 from before), 0.0 MB, 1.0 kB a sample\n")
  expect(error).toBeInstanceOf(EnvironmentError)
  expect(error).toMatchObject({ message: "stopped: disk full", hint: "the same command goes on when that is mended" })
})
