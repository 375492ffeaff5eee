import { expect, test } from "vitest"
import { UserError } from "../../core/errors.ts"
import { BackgroundSave } from "./background-save.ts"
import type { TrainingState } from "./state.ts"

const stateAt = (step: number) => ({ step }) as TrainingState

test("a failure shows before the next save, with the last step that was really written", async () => {
  const saving = new BackgroundSave(async ({ step }) => {
    if (step === 8) throw new UserError("disk full", "free some space")
  })
  expect(saving.last).toBe("no checkpoint was saved yet")
  await saving.start(() => stateAt(4))
  await saving.start(() => stateAt(8))
  expect(saving.last).toBe("the last checkpoint is of step 4")
  await saving.settled()
  expect(() => saving.throwIfFailed()).toThrow(
    new UserError("the state at step 8 was not saved: disk full; the last checkpoint is of step 4", "free some space"),
  )
  await expect(saving.start(() => stateAt(12))).rejects.toThrow("step 8 was not saved")
})

test("a state that is being written does not count as a checkpoint", async () => {
  let finish = () => {}
  const saving = new BackgroundSave(() => new Promise<void>((resolve) => (finish = resolve)), 2)
  await saving.start(() => stateAt(4))
  expect([saving.has(2), saving.has(4)]).toEqual([false, true])
  expect(saving.last).toBe("the last checkpoint is of step 2")
  finish()
  await saving.finished()
  expect(saving.last).toBe("the last checkpoint is of step 4")
})
