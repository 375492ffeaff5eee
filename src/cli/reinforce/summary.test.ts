import { expect, test } from "vitest"
import { EnvironmentError } from "../../core/errors.ts"
import type { RunOutcome } from "../../reinforce/local/run-shards.ts"
import { finish } from "./summary.ts"

const made = { ...{ index: 0, input: "in/0.tar", output: "out/0.tar", samples: 3 }, problems: [], bytes: 3000 }
const results = [{ ...made, sha256: "x", models: "m", seconds: 1 }]

function finished(outcome: Partial<RunOutcome>) {
  let text = ""
  const output = {
    writeOut: (more: string) => {
      text += more
    },
    writeErr: () => {},
  }
  try {
    finish({ results, failed: [], resumed: 0, stopped: null, ...outcome }, { output: "out", maxFailures: 1 }, output)
    return { text, error: null }
  } catch (error) {
    return { text, error }
  }
}

test("a run that the machine stopped says what was done, why it stopped and how to go on", () => {
  expect(finished({}).error).toBe(null)
  const { text, error } = finished({ stopped: "environment", outage: new EnvironmentError("disk full") })
  expect(text).toBe("out: 3 samples in 1 shards (0 from before), 0.0 MB, 1.0 kB a sample\n")
  expect(error).toBeInstanceOf(EnvironmentError)
  expect(error).toMatchObject({ message: "stopped: disk full", hint: "the same command goes on when that is mended" })
})
