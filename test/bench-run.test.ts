/** bench/run in its short form: every library, both kinds of process, all tables. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { markdownOf } from "../bench/run/markdown.ts"
import { measureRun, type RunOptions } from "../bench/run/measure-run.ts"
import { agreementOf, bestOf, timesAsFast } from "../bench/run/rounds.ts"
import { exportModel } from "../src/export/export.ts"
import { tinyInfo, tinyModel } from "./tiny-model.ts"

const folder = mkdtempSync(join(tmpdir(), "bench-run-"))
beforeAll(() => exportModel(tinyModel(), tinyInfo, join(folder, "tiny")))
afterAll(() => rmSync(folder, { recursive: true }))

const options: RunOptions = {
  ...{ models: [join(folder, "tiny")], family: [], pictures: null, texts: 3, rounds: 2, coldRounds: 1 },
  sizes: [{ name: "96 x 72", width: 96, height: 72, count: 3 }],
  ...{ oneProcess: false, quick: true, say() {} },
}

test("in processes of their own: the same vectors, figures of every stage, cold starts, memory", async () => {
  const report = await measureRun(options)
  const [run] = report.models
  expect(run!.model).toBe("tiny")
  expect(run!.libraries["transformers.js"]).toMatch(/^@huggingface\/transformers \d/)
  expect(run!.images.map(({ name }) => name)).toEqual(["96 x 72"])
  expect(run!.texts.map(({ name }) => name)).toEqual(["short captions", "full length"])
  const [images] = run!.images
  for (const { milliseconds, rounds } of images!.entries) {
    expect(rounds).toHaveLength(2)
    expect(milliseconds).toBeGreaterThan(0)
  }
  // Its resize samples where ours filters: near, and nearer than other pictures.
  expect(images!.agreement.mean).toBeGreaterThan(images!.agreement.ofOthers + 0.5)
  // The same file and the same tokens.
  for (const { agreement } of run!.texts) expect(agreement.least).toBeGreaterThan(0.9999)
  expect(images!.peakBytes.mobileclip).toBeGreaterThan(30e6)
  expect(run!.cold).toHaveLength(8)
  const text = markdownOf(report)
  for (const part of ["96 x 72, one by one", "transformers.js (by batch)", "text query, mobileclip, second run"]) {
    expect(text).toContain(part)
  }
  expect(text).not.toMatch(/NaN|undefined|Infinity/)
})

test("in one process, with the family's towers beside their accuracies", async () => {
  const report = await measureRun({ ...options, rounds: 1, oneProcess: true, coldRounds: 0, family: ["quickstart"] })
  expect(report.models[0]!.images[0]!.peakBytes).toEqual({})
  const text = markdownOf(report)
  expect(text).toContain("all in one process")
  expect(text).toMatch(/^\| quickstart \| \d+\.\d \| \d+ % \| \d+\.\d \| \d+ % \| - \| - \|$/m)
  expect(text).not.toMatch(/NaN|undefined|Infinity/)
})

test("vectors of other inputs do not agree", () => {
  const rows = (seed: number) => Float32Array.from({ length: 8 * 16 }, (_, i) => 100 + Math.sin(seed * (i + 1)))
  expect(agreementOf(rows(3), rows(3), 16).least).toBeCloseTo(1, 4)
  expect(agreementOf(rows(3), rows(7), 16).mean).toBeLessThan(0.5)
})

test("times as fast: round by round, of the best batch", () => {
  const entry = (library: "mobileclip" | "transformers.js", batch: number, rounds: number[]) => {
    return { library, batch, rounds, milliseconds: rounds[1]!, perSecond: 1000 / rounds[1]! }
  }
  const theirs = [entry("transformers.js", 1, [9, 9, 9]), entry("transformers.js", 8, [4, 8, 80])]
  expect(bestOf(theirs, "transformers.js")).toBe(theirs[1])
  // A machine that was ten times slower in one round was so for both.
  expect(timesAsFast(entry("mobileclip", 8, [2, 4, 40]), theirs[1]!)).toBe(2)
})
