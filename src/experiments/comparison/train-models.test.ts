import { expect, test } from "vitest"
import { tinyInfo } from "../../../test/tiny-model.ts"
import { UserError } from "../../core/errors.ts"
import { noProgress } from "../../core/progress.ts"
import { defaultTrainConfig } from "../../train/train.ts"
import type { ModelTraining } from "./train-model.ts"
import { trainModels } from "./train-models.ts"

const training = (name: string): ModelTraining => ({
  ...{
    directory: `nowhere/${name}`,
    name,
    info: tinyInfo,
    config: { ...defaultTrainConfig, steps: 1, warmupSteps: 0, batchSize: 2 },
  },
  pairs: { source: "nowhere", view: "center" },
  tasks: "nowhere/tasks.json",
})

test("what a process fails with is an error of its class here, with the name of its model", async () => {
  const signal = new AbortController().signal
  const failure = trainModels([training("small"), training("large")], { startProgress: noProgress, signal, threads: 2 })
  const error = await failure.catch((error: unknown) => error)
  expect(error).toBeInstanceOf(UserError)
  expect(error).toMatchObject({
    message: expect.stringMatching(/^(small|large): nowhere\/tasks\.json does not exist$/),
  })
  expect(error).toMatchObject({ hint: "check the path", stack: expect.stringContaining("task-list.js") })
}, 60_000)
