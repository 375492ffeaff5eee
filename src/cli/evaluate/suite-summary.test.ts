import { expect, test } from "vitest"
import type { SuiteReport } from "../../benchmark/run/evaluate-suite.ts"
import { quickErrors, quickTasks } from "../../evaluate/suite/quick.ts"
import { findTask } from "../../evaluate/suite/tasks.ts"
import { suiteSummary } from "./suite-summary.ts"

const written = { out: undefined, folders: [] }

function report(suite: string, models: readonly { keys: readonly string[]; seconds: number }[]): SuiteReport {
  const result = (key: string, seconds: number) => ({
    ...{ key, dataset: key, metrics: { acc1: 0.65, main_metric: 0.65 } },
    details: {
      ...{ kind: "classification" as const, mainMetric: "acc1", answers: findTask(key)!.size!, images: 9, classes: 2 },
      ...{ chance: 0.5, seconds, cachedImages: 0 },
    },
  })
  const described = models.map(({ keys, seconds }, i) => ({
    ...{ name: `m${i}`, folder: null, results: keys.map((key) => result(key, seconds)) },
  }))
  return { data: "data", suite, models: described, failures: [], absent: [], tasks: [] }
}

test("the time of a task is that of its one pass, and not as many times that as there are models", () => {
  const keys = ["cifar10"]
  const models = [65.7, 66.1, 65.9].map((seconds) => ({ keys, seconds }))
  expect(suiteSummary(report("own", models), written)).toMatch(/cifar10 .* {2}1 min 06 s$/m)
})

test("a prediction is printed with the error of models that were not fitted on", () => {
  const keys = quickTasks.map(({ key }) => key)
  expect(suiteSummary(report("quick", [{ keys, seconds: 1 }]), written)).toContain(
    `+- ${(100 * quickErrors.otherModels).toFixed(1)} (one standard error, from models that it was not fitted on)`,
  )
})
