import { setImmediate as nextTurn } from "node:timers/promises"
import { expect, test } from "vitest"
import { PixelBudget } from "./pixel-budget.ts"

test("pictures together have no more pixels than are allowed at a time, and go in the order of their coming", async () => {
  const budget = new PixelBudget(100)
  const begun: number[] = []
  const ends = new Map<number, () => void>()
  const all = [60, 40, 90, 5, 300, 1].map((pixels) =>
    budget.use(pixels, async () => {
      begun.push(pixels)
      await new Promise<void>((resolve) => ends.set(pixels, resolve))
      return pixels
    }),
  )
  const states = [
    [60, 40],
    [60, 40],
    [60, 40, 90, 5],
    [60, 40, 90, 5],
    [60, 40, 90, 5, 300],
    [60, 40, 90, 5, 300, 1],
  ]
  for (const [i, ending] of [0, 60, 40, 5, 90, 300].entries()) {
    ends.get(ending)?.()
    await nextTurn()
    expect(begun).toEqual(states[i])
  }
  ends.get(1)!()
  expect(await Promise.all(all)).toEqual([60, 40, 90, 5, 300, 1])
})

test("work that fails leaves its room to others", async () => {
  const budget = new PixelBudget(10)
  const failed = budget.use(10, () => Promise.reject(new Error("failed")))
  const next = budget.use(10, async () => "done")
  await expect(failed).rejects.toThrow("failed")
  expect(await next).toBe("done")
})
