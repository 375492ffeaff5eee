import { appendFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { GrowingCurves, type WatchedGroup } from "./curves.ts"
import { growingPage } from "./page.ts"
import { plannedStages } from "./stages.ts"

const folder = await mkdtemp(join(tmpdir(), "mobileclip-growing-"))
afterAll(() => rm(folder, { recursive: true, force: true }))

function stepLine(step: number): string {
  const times = { learningRate: 1e-3, logitScale: 14, gradNorm: 1, seconds: 0.1, dataSeconds: 0 }
  return `${JSON.stringify({ step, samplesSeen: 48 * step, losses: { contrastive: 4 - step / 1e4 }, ...times })}\n`
}

function scoreLine(step: number, average: number): string {
  return `${JSON.stringify({ step, samplesSeen: 48 * step, tasks: { shape: average }, average })}\n`
}

async function log(name: string, ...lines: string[]): Promise<void> {
  await mkdir(join(folder, name), { recursive: true })
  await writeFile(join(folder, name, "metrics.jsonl"), lines.join(""))
}

function group(title: string, names: readonly string[], guessing?: number): WatchedGroup {
  const trainings = names.map((name) => ({ name, directory: join(folder, name), steps: 1000, batchSize: 48 }))
  return { title, trainings, ...(guessing !== undefined && { guessing }) }
}

test("trainings appear with their first step, the latest first, and accuracies with their first score", async () => {
  const curves = new GrowingCurves([group("Teachers", ["a", "b"], 0.2), group("Captioner", ["captioner"])])
  expect(await curves.figures()).toEqual([])
  await log("a", stepLine(1), stepLine(2))
  const [teachers] = await curves.figures()
  expect(teachers!.text).toContain("<h3>Teachers</h3>")
  expect(teachers!.text).toContain("Not scored yet.")
  expect(teachers!.text.match(/<svg /g)).toHaveLength(1)
  await log("captioner", stepLine(1))
  await appendFile(join(folder, "a", "metrics.jsonl"), scoreLine(2, 0.456))
  const [captioner, scored] = await curves.figures()
  expect(captioner!.text.match(/<svg /g)).toHaveLength(1)
  expect(scored!.text.match(/<svg /g)).toHaveLength(2)
  expect(scored!.text).toContain("Mean zero-shot accuracy so far: a 45.6%.")
})

test("what has not grown is not drawn again", async () => {
  await log("c", stepLine(1))
  await log("d", stepLine(1))
  const curves = new GrowingCurves([group("C", ["c"]), group("D", ["d"])])
  const before = await curves.figures()
  await appendFile(join(folder, "d", "metrics.jsonl"), stepLine(2))
  const after = await curves.figures()
  expect(after[1]).toBe(before[1])
  expect(after[0]).not.toBe(before[0])
})

test("a line that is being written is left for the next page", async () => {
  await log("e", stepLine(1), stepLine(2).slice(0, 20))
  expect(await new GrowingCurves([group("E", ["e"])]).figures()).toHaveLength(1)
})

test("the page stays small, however long the trainings are and however many", async () => {
  const steps = Array.from({ length: 4000 }, (_, i) => stepLine(i + 1))
  const scores = Array.from({ length: 12 }, (_, i) => scoreLine(1000 * (i + 1), 0.05 * i))
  const names = ["f", "g", "h", "i", "j", "k", "l"]
  for (const name of names) await log(name, ...steps, ...scores)
  const pairs = Array.from({ length: 10 }, (_, i) => group(`pair ${i + 1}`, i % 2 ? ["i", "j"] : ["k", "l"], 0.2))
  const groups = [group("T", ["f", "g"], 0.2), group("C", ["h"]), ...pairs]
  const figures = await new GrowingCurves(groups).figures()
  expect(figures.map(({ text }) => /<h3>(.*?)</.exec(text)![1])).toEqual(["pair 10", "pair 9", "pair 8", "pair 7"])
  const page = growingPage({
    curves: figures,
    pictures: Array.from({ length: 8 }, () => ({
      ...{ jpeg: new Uint8Array(6000), careless: "a".repeat(80), precise: "b".repeat(120), written: ["c".repeat(120)] },
    })),
    run: {
      stages: plannedStages(2, []).map((stage) => ({ ...stage, state: "done", seconds: 60 })),
      ...{ work: null, seconds: 540, earlierSeconds: 0, end: null },
    },
    ...{ command: "npx mobileclip quickstart", writtenAt: new Date() },
  })
  expect(page.length).toBeLessThan(250_000)
})
