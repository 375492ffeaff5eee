import { expect, test } from "vitest"
import { EnvironmentError, UserError } from "../../core/errors.ts"
import type { Problem, ReinforcedSample } from "../../data/reinforced/sample.ts"
import { preparedSamples } from "./stage.ts"

function samples(...keys: string[]): AsyncIterable<ReinforcedSample> {
  return (async function* () {
    for (const key of keys) yield { key } as ReinforcedSample
  })()
}

test("a sample at fault is left out with its reason; the machine's fault ends the shard", async () => {
  const problems: Problem[] = []
  const report = (problem: Problem) => problems.push(problem)
  const prepare = async (sample: ReinforcedSample) => {
    const { key } = sample
    if (key === "bad") throw new UserError("its picture is damaged")
    if (key === "full") throw new EnvironmentError("disk full")
    return { sample, isCutOff: false }
  }
  const kept: string[] = []
  for await (const { sample } of preparedSamples(samples("a", "bad", "b"), 2, prepare, report)) kept.push(sample.key)
  expect(kept).toEqual(["a", "b"])
  expect(problems).toEqual([{ key: "bad", reason: "its picture is damaged", action: "dropped" }])
  const broken = async () => {
    for await (const { sample } of preparedSamples(samples("a", "full", "b"), 2, prepare, report)) kept.push(sample.key)
  }
  await expect(broken()).rejects.toBeInstanceOf(EnvironmentError)
  expect(problems).toHaveLength(1)
})
