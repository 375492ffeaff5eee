import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { publishedModels } from "../../evaluate/suite/published.ts"
import type { LatencyReport, LatencyRow } from "../latency/latency-report.ts"
import { compareModels } from "./compare.ts"
import { comparisonPage } from "./page.ts"
import { verdictText } from "./words.ts"

const folder = mkdtempSync(join(tmpdir(), "mobileclip-compare-page-"))
afterAll(() => rmSync(folder, { recursive: true }))

/** Published results as a run of one's own, with a face of FairFace's metrics changed. */
function ownRun(name: string, variant: string | null): string {
  const path = join(folder, name.replaceAll(/\W/g, "-"))
  mkdirSync(path, { recursive: true })
  const [{ results }] = publishedModels as [(typeof publishedModels)[number]]
  const faces = {
    ...{ "acc_gender_x_race:0_gender:0": 0.785, "acc_gender_x_race:0_gender:1": 0.9802, acc_gender_x_wg: 0.785 },
    ...{ acc_gender_avg: 0.92, toxicity_crime_avg: 0.1007, main_metric: null },
  }
  const lines = results.map(({ key, dataset, metrics }) => ({
    ...{ key, dataset },
    metrics: key === "fairness/fairface" ? faces : metrics,
  }))
  writeFileSync(join(path, "results.jsonl"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""))
  const model = { name, identity: "x", variant, parameters: 53.8e6, latencyMs: 21 }
  writeFileSync(
    join(path, "evaluation.json"),
    JSON.stringify({ format: "mobileclip-evaluation", version: 1, model, data: "d", suite: "38", settings: {} }),
  )
  return path
}

test("the page has the verdict first, both averages, what an answer is worth and the published points", async () => {
  const page = await comparisonPage(await compareModels({ runs: ["MobileCLIP-S1", "MobileCLIP2-S0"] }))
  expect(page).toContain(
    "<h1>MobileCLIP2-S0 is 1.58 points below MobileCLIP-S1 on average over 38 tasks, more than chance</h1>",
  )
  for (const text of [
    "61.25",
    "61.66",
    "59.67",
    "0.66",
    "iPhone 12 Pro Max, published latency",
    "What they cannot show",
  ])
    expect(page).toContain(text)
  const parts = ["<h1>", "<h2>Averages", "<h2>Accuracy over what it costs", "<h2>Task by task"]
  const places = [...parts, "<h2>What one answer is worth", "<h2>Faces", "<h2>How sure"].map((text) =>
    page.indexOf(text),
  )
  expect(places.every((at) => at > 0)).toBe(true)
  expect(places).toEqual(places.toSorted((a, b) => a - b))
  // Each of the 14 by latency and by parameters.
  expect(page.match(/aria-label="[^"]*series: MobileCLIP2?"/g)!.length).toBeGreaterThanOrEqual(28)
  expect(page).not.toMatch(/NaN|undefined|Infinity|https?:\/\/(?!www\.w3\.org)/)
  // FMoW's region of four first, with what it is worth in the average.
  expect(page).toMatch(/FMoW<\/th><td>22,108<\/td><td>25<\/td><td>25<\/td><td>0\.66<\/td>/)
})

test("a model of one's own stands in the plots, also over the latency of this machine, and its faces are reported", async () => {
  const row = (model: string, tower: "image" | "text", medianMs: number): LatencyRow =>
    ({ model, tower, batch: 1, device: "cpu", dtype: "fp32", medianMs }) as LatencyRow
  const latency = {
    machine: { cpu: "a small processor", cores: 2, memoryGB: 8, os: "Linux", node: "20" },
    rows: [
      ...[row("mobileclip-s0", "image", 20), row("mobileclip-s0", "text", 10)],
      ...[row("mobileclip-s1", "image", 40), row("mobileclip-s1", "text", 20)],
    ],
  } as unknown as LatencyReport
  const comparison = await compareModels({ runs: [ownRun("mine", "mobileclip-s0")], published: ["MobileCLIP-S0"] })
  expect(comparison.models[0]).toMatchObject({ name: "mine", parameters: 53.8, variant: "mobileclip-s0" })
  const page = await comparisonPage(comparison, latency)
  expect(page).toContain("mine and MobileCLIP-S0")
  expect(page).toContain("MobileCLIP-S0 and mine score the same on average over 38 tasks")
  expect(page).toContain("a small processor, measured")
  // On the phone, by parameters and here.
  expect(page.match(/aria-label="[^"]*series: compared here"/g)!.length).toBeGreaterThanOrEqual(3)
  expect(page).toContain("78.5 to 98.0 (2)")
  expect(page).toMatch(/taken for words about crime, all faces<\/th><td>10\.1<\/td>/)
})

test("a plot in which all models stand at one place is left out", async () => {
  const runs = ["one", "two"].map((name) => {
    const path = ownRun(name, null)
    const line = { key: "my/own", dataset: "Own", metrics: { main_metric: 0.5 } }
    writeFileSync(join(path, "results.jsonl"), `${JSON.stringify(line)}\n`)
    return path
  })
  expect(await comparisonPage(await compareModels({ runs }))).not.toContain("what it costs")
})

test("names may hold anything, and a file of one task is a page too", async () => {
  const hostile = "a\u2028b<img src=x onerror=alert(1)>\x1b\u202e"
  const path = join(folder, "own.jsonl")
  writeFileSync(path, `${JSON.stringify({ key: hostile, dataset: hostile, metrics: { main_metric: 0.5 } })}\n`)
  const page = await comparisonPage(await compareModels({ runs: [path, path] }))
  expect(page).toContain("a\\u2028b&#60;img src=x onerror=alert(1)&#62;\\x1b\\u202e")
  for (const raw of ["<img src=x", "\u2028", "\u202e", "\x1b"]) expect(page).not.toContain(raw)
  expect(page).toContain("own (2) and own score the same in a\\u2028b")
})

test("tasks of one's own: no word of faces, nor of published models that are not there", async () => {
  const run = (name: string, keys: readonly string[], score: number) => {
    const path = join(folder, name)
    mkdirSync(path)
    const lines = keys.map((key) => JSON.stringify({ key, dataset: key, metrics: { main_metric: score } }))
    writeFileSync(join(path, "results.jsonl"), `${lines.join("\n")}\n`)
    const model = { name, identity: name, variant: null, parameters: 1e7 * score, latencyMs: null }
    const facts = { format: "mobileclip-evaluation", version: 1, model, data: "d", suite: "own", settings: {} }
    writeFileSync(join(path, "evaluation.json"), JSON.stringify(facts))
    return path
  }
  const [mine, yours] = [run("my model", ["my/a", "my/b"], 0.5), run("your model", ["my/a", "my/b"], 0.25)]
  const latency = { machine: { cpu: "a processor" }, rows: [] } as unknown as LatencyReport
  const page = await comparisonPage(await compareModels({ runs: [mine, yours] }), latency)
  expect(page).toContain("Published models are not shown: they have no results of these tasks.")
  expect(page).toContain("The latencies that were given are of other models.")
  for (const absent of ["<h2>Faces", "14 published models"]) expect(page).not.toContain(absent)
  const three = await compareModels({ runs: [mine, yours, run("third", ["my/c"], 0.5)] })
  expect(verdictText(three)).toBe("No task was answered by all of these models, so there is no average of all")
})

test("models without a task in common have a page that says so", async () => {
  const paths = ["a", "b"].map((name) => {
    const path = join(folder, `${name}.jsonl`)
    writeFileSync(path, `${JSON.stringify({ key: name, dataset: name, metrics: { main_metric: 0.5 } })}\n`)
    return path
  })
  const page = await comparisonPage(await compareModels({ runs: paths }))
  expect(page).toContain("The models have no task in common, so nothing can be compared")
})
