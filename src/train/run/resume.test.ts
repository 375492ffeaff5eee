import { expect, test } from "vitest"
import { tinyInfo } from "../../../test/tiny-model.ts"
import type { Settings } from "../checkpoints/state.ts"
import { defaultTrainConfig, settingsOf, type TrainConfig } from "../train.ts"
import { checkSameRun } from "./resume.ts"

const config: TrainConfig = {
  ...defaultTrainConfig,
  ...{ batchSize: 8, steps: 10, warmupSteps: 1, minLearningRate: 0, constantSteps: 0 },
}

/** The notes of a run that goes on; throws where it may not. */
function goOn(before: Settings, now: Settings, given: { readonly step?: number; readonly otherData?: boolean } = {}) {
  const notes: string[] = []
  const { step = 5, otherData } = given
  const state = { step, info: tinyInfo, settings: settingsOf({ ...config, data: before }), take: () => expect.fail() }
  const run = {
    ...({ directory: "run", existing: "require", info: tinyInfo, config: { ...config, data: now } } as const),
    ...(otherData !== undefined && { otherData }),
    note: (line: string) => notes.push(line),
  }
  checkSameRun(state, run, tinyInfo)
  return notes
}

const [shuffled, keyed] = [{ data: "70000 pictures" }, { data: "70000 pictures", order: "keyed" }]

test("a run of another order is refused, and says how to go on", () => {
  expect(() => goOn(shuffled, keyed, { otherData: false })).toThrow(
    expect.objectContaining({
      message: "the run in run was made with order shuffled (now keyed)",
      hint: "finish it with the version that began it, which shuffles so many samples in another way, choose another directory, or say that the change is meant: --allow-other-data",
    }),
  )
  expect(() => goOn(shuffled, keyed)).toThrow(
    expect.objectContaining({
      hint: "finish it with the version that began it, which shuffles so many samples in another way, or choose another directory",
    }),
  )
  expect(() => goOn(keyed, shuffled, { otherData: false })).toThrow("was made with order keyed (now shuffled)")
})

test("the same order goes on without a word, and another one with a note where it is meant", () => {
  expect(goOn(shuffled, shuffled)).toEqual([])
  expect(goOn(keyed, keyed)).toEqual([])
  expect(goOn(shuffled, keyed, { otherData: true })).toEqual([
    "the run in run had order shuffled, and goes on with keyed",
  ])
  expect(goOn(keyed, { data: "9 pictures" }, { otherData: true })).toEqual([
    "the run in run had data 70000 pictures, and goes on with 9 pictures",
    "the run in run had order keyed, and goes on with shuffled",
  ])
})

test("other data are the reason to give where both differ", () => {
  const more = { data: "80000 pictures", order: "keyed" }
  expect(() => goOn(shuffled, more, { otherData: false })).toThrow(
    expect.objectContaining({
      message: "the run in run was made with data 70000 pictures (now 80000 pictures), order shuffled (now keyed)",
      hint: expect.stringMatching(/^go on with its own data, choose another directory, or /),
    }),
  )
})

test("a run that has all of its steps needs no order", () => {
  expect(goOn(shuffled, keyed, { step: 10 })).toEqual([])
  expect(() => goOn({ data: "9 pictures" }, keyed, { step: 10 })).toThrow("was made with data 9 pictures")
})

test("settings that a checkpoint does not have are noted", () => {
  expect(goOn({}, shuffled)).toEqual(["the run in run does not say its data, and goes on with 70000 pictures"])
  expect(goOn({ teacherWeights: "a" }, {}, { otherData: true })).toEqual([])
})
