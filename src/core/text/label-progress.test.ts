import { expect, test } from "vitest"
import { labelProgress } from "./label-progress.ts"

test("many prompts are shown, and what was kept is told; a few are encoded in a moment", () => {
  const log: unknown[] = []
  const startProgress = (...about: unknown[]) => {
    log.push(about)
    return { update: (done: number) => void log.push(done), done: () => void log.push("done") }
  }
  const { onKept, onPrompts } = labelProgress("labels", { startProgress, say: (line) => void log.push(line) })
  onKept(3, 12, 999)
  onPrompts(0, 999)
  onPrompts(999, 999)
  onKept(0, 1000, 80_000)
  expect(log).toEqual([])
  onKept(988, 1000, 80_000)
  for (const done of [0, 480, 1000]) onPrompts(done, 1000)
  const told = "988 of 1,000 labels' vectors were kept from before"
  expect(log).toEqual([told, ["labels", 1000, { unit: "texts" }], 0, 480, 1000, "done"])
})
