import { expect, test } from "vitest"
import { tinyConfig } from "../../../test/tiny-model.ts"
import type { FinetuneReport } from "../../finetune/report-data.ts"
import { summary } from "./summary.ts"

test("the next command is safe to copy, whatever classes and folders are called", () => {
  const scores = { figures: {}, predictions: [] }
  const report = {
    ...{ before: scores, chosen: { ...scores, alpha: 0.5 }, run: { step: 1 }, bestStep: 1, model: "my runs/model" },
    start: { info: { config: tinyConfig } },
    probe: { chance: {}, classes: { names: ["$(touch x)", "it's"] } },
    pictures: { train: 1, heldOut: 1, withoutCaption: 0, damaged: 0, cutOff: 2 },
  } as unknown as FinetuneReport
  const lines = summary(report, "report.html").split("\n")
  expect(lines.at(-1)).toBe(
    `next:   mobileclip classify PICTURE --model 'my runs/model' --labels '$(touch x),it'\\''s'`,
  )
  expect(lines).toContain("2 pictures are cut off, and were used as far as they go")
})
