import { expect, test } from "vitest"
import { tinyConfig } from "../../../test/tiny-model.ts"
import { defaultTemplates } from "../../core/text/prompts.ts"
import type { FinetuneReport } from "../../finetune/report-data.ts"
import { summary } from "./summary.ts"

function lines(names: readonly string[], templates: readonly string[] = defaultTemplates): string[] {
  const scores = { figures: {}, predictions: [] }
  const report = {
    ...{ before: scores, chosen: { ...scores, alpha: 0.5 }, run: { step: 1 }, bestStep: 1, model: "my runs/model" },
    ...{ candidates: [{}, {}], config: { learningRate: 1e-5 } },
    start: { info: { config: tinyConfig } },
    probe: { chance: {}, classes: { names, templates } },
    labels: "my runs/labels.txt",
    pictures: { train: 1, heldOut: 1, withoutCaption: 0, damaged: 0, cutOff: 2 },
  } as unknown as FinetuneReport
  return summary(report, "report.html").split("\n")
}

const next = "next:   mobileclip classify PICTURE --model 'my runs/model'"

test("the next command is safe to copy, whatever classes and folders are called", () => {
  const said = lines(["$(touch x)", "it's"])
  expect(said.at(-1)).toBe(`${next} --labels '$(touch x),it'\\''s'`)
  expect(said).toContain("2 pictures are cut off, and were used as far as they go")
})

test("the next command has all classes, each as it is: names with a comma, and more than a few, are in a file", () => {
  expect(lines(["a", "b", "c", "d", "e"]).at(-1)).toBe(`${next} --labels a,b,c,d,e`)
  for (const names of [
    ["salt, pepper", "sugar"],
    ["a", "b", "c", "d", "e", "f"],
    ["one\nline", "b"],
  ])
    expect(lines(names).at(-1)).toBe(`${next} --labels-file 'my runs/labels.txt'`)
})

test("the next command has the prompts of the training", () => {
  expect(lines(["a", "b"], ["{}", "my {}"]).at(-1)).toBe(`${next} --labels a,b --template '{}' --template 'my {}'`)
})
