import { appendFileSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import sharp from "sharp"
import { expect, test } from "vitest"
import { Tokenizer } from "../../core/text/tokenizer.ts"
import { defaultRecipe } from "../recipe/schema.ts"
import { meanOf, type StepEntry, secondsOf } from "./entries.ts"
import { MetricsLog, readMetrics } from "./metrics.ts"
import { reportPage } from "./report/page.ts"
import { RunLog } from "./run-log.ts"
import { pictureGrid, seenSamples } from "./samples.ts"
import { StatusLine, statusText } from "./status-line.ts"

const folder = () => mkdtempSync(join(tmpdir(), "log-"))

function entry(step: number, more: Partial<StepEntry> = {}): StepEntry {
  return {
    ...{ step, samplesSeen: step * 64, learningRate: 1e-3, losses: { real: 2 / step, synthetic: 1 / step } },
    ...{ gradNorm: 1.5, logitScale: 14.3, seconds: 0.5, dataSeconds: 0.005 },
    ...more,
  }
}

async function logged(path: string, steps: readonly number[], options = {}): Promise<MetricsLog> {
  const log = await MetricsLog.open(path, options)
  for (const step of steps) log.add(entry(step))
  return log
}

test("seconds are those of all steps, also where a line stands for several", () => {
  const steps = [1, 2, 3, 4, 5].map((step) => entry(step, { seconds: step }))
  expect(secondsOf(steps)).toBe(15)
  expect(secondsOf([meanOf(steps.slice(0, 2)), meanOf(steps.slice(2, 4)), steps[4]!])).toBe(15)
})

test("a line per step is in the file as soon as it is added", async () => {
  const path = join(folder(), "metrics.jsonl")
  const log = await logged(path, [1, 2])
  log.add({ step: 2, samplesSeen: 128, tasks: { colour: 0.5 }, average: 0.5 })
  expect(readFileSync(path, "utf8").split("\n")).toHaveLength(4)
  log.close()
  expect(await readMetrics(path)).toEqual([entry(1), entry(2), expect.objectContaining({ average: 0.5 })])
})

test("a resumed run drops the incomplete line and the lines after its step", async () => {
  const path = join(folder(), "metrics.jsonl")
  ;(await logged(path, [1, 2, 3, 4])).close()
  appendFileSync(path, '{"step":5,"samp')
  const log = await logged(path, [3], { resumeStep: 2 })
  log.close()
  expect(log.earlier).toEqual([])
  expect((await readMetrics(path)).map(({ step }) => step)).toEqual([1, 2, 3])
})

test("a resumed run knows its evaluations, and its lines are as they were", async () => {
  const path = join(folder(), "metrics.jsonl")
  const log = await logged(path, [1, 2])
  const evaluation = { step: 2, samplesSeen: 128, tasks: { colour: 0.5 }, average: 0.5 }
  log.add(evaluation)
  log.add(entry(3, { gradNorm: Number.NaN }))
  log.close()
  const text = readFileSync(path, "utf8")
  const resumed = await MetricsLog.open(path, { resumeStep: 3 })
  resumed.close()
  expect(resumed.earlier).toEqual([evaluation])
  expect(readFileSync(path, "utf8")).toBe(text)
})

test("steps of a long run are read as means of neighbours, with what lies between and how far it came", async () => {
  const path = join(folder(), "metrics.jsonl")
  const log = await logged(path, [1, 2, 3, 4, 5])
  log.add({ step: 5, samplesSeen: 320, tasks: {}, average: 0.5 })
  for (const step of [6, 7, 8, 9]) log.add(entry(step, { seconds: step }))
  log.close()
  const steps = (entries: readonly { step: number }[]) => entries.map(({ step }) => step)
  expect(steps(await readMetrics(path, 9))).toEqual([1, 2, 3, 4, 5, 5, 6, 7, 8, 9])
  const few = await readMetrics(path, 5)
  expect(steps(few)).toEqual([2, 4, 5, 6, 8, 9])
  expect(few.slice(0, 2)).toEqual([meanOf([entry(1), entry(2)]), meanOf([entry(3), entry(4)])])
  expect(few.at(-2)).toMatchObject({ step: 8, seconds: 7.5 })
  expect(few.at(-1)).toMatchObject({ step: 9, seconds: 9 })
})

test("a line that is read in parts is one line, whatever characters it has", async () => {
  const path = join(folder(), "metrics.jsonl")
  const losses = { ["\u00e9\u4e16\ud83d\ude00".repeat(10_000)]: 1 }
  const entries = Array.from({ length: 20 }, (_, i) => entry(i + 1, { losses }))
  const log = await MetricsLog.open(path)
  for (const one of entries) log.add(one)
  log.close()
  expect(await readMetrics(path)).toEqual(entries)
})

test("a run that begins replaces an older file", async () => {
  const path = join(folder(), "metrics.jsonl")
  ;(await logged(path, [1, 2, 3])).close()
  ;(await logged(path, [1])).close()
  expect((await readMetrics(path)).map(({ step }) => step)).toEqual([1])
})

test("steps that share a line are their means, and nothing waits when the log is closed", async () => {
  const path = join(folder(), "metrics.jsonl")
  ;(await logged(path, [1, 2, 3], { every: 2 })).close()
  const entries = await readMetrics(path)
  expect(entries.map(({ step }) => step)).toEqual([2, 3])
  expect(entries[0]).toMatchObject({ losses: { real: 1.5, synthetic: 0.75 }, gradNorm: 1.5 })
})

test("a step that float16 left out does not affect the mean of the norms", () => {
  const entries = [entry(1), entry(2, { gradNorm: Number.POSITIVE_INFINITY }), entry(3, { gradNorm: 2.5 })]
  expect(meanOf(entries).gradNorm).toBe(2)
})

test("a broken line before the end is an error that names it", async () => {
  const path = join(folder(), "metrics.jsonl")
  writeFileSync(path, '{"step":1}\nnonsense\n{"step":3}\n')
  await expect(readMetrics(path)).rejects.toThrow(`${path}, line 2 is not an entry of a training log`)
})

test("the status line shows the means of the last steps", () => {
  const live = new StatusLine(() => 1.44e9)
  live.update(entry(1))
  const status = live.update(entry(2, { seconds: 1.5, dataSeconds: 0.035 }))
  expect(status).toMatchObject({ loss: 2.25, samplesPerSecond: 64, logitScale: 14.3 })
  expect(status.dataWait).toBeCloseTo(0.02)
  expect(statusText(status)).toBe("loss 2.250  wait 2.0%  lr 1.0e-3  scale 14.3  1.4 GB")
})

const preprocessing = { size: 8, interpolation: "bilinear", mean: [0.5, 0.4, 0.3], std: [0.2, 0.25, 0.5] } as const

/** Normalised pictures, each of one colour. */
function images(colours: readonly (readonly [number, number, number])[]): Float32Array {
  return Float32Array.from(
    colours.flatMap((colour) =>
      colour.flatMap((value, c) => Array(64).fill((value / 255 - preprocessing.mean[c]!) / preprocessing.std[c]!)),
    ),
  )
}

const colours = [
  [200, 10, 30],
  [0, 255, 128],
  [90, 90, 90],
] as const

test("samples are shown as the model saw them", async () => {
  const tokenizer = new Tokenizer()
  const { ids: tokens } = tokenizer.encodeBatch(["A red square", "green", "grey"])
  const { ids: synthetic } = tokenizer.encodeBatch(["a photo of red", "b", "c"])
  const batch = { images: images(colours), tokens, synthetic }
  const samples = await seenSamples(batch, { preprocessing, tokenizer, contextLength: 77, count: 2 })
  expect(samples.map(({ caption, synthetic }) => [caption, synthetic])).toEqual([
    ["a red square", "a photo of red"],
    ["green", "b"],
  ])
  const { dominant } = await sharp(samples[0]!.jpeg).stats()
  expect(dominant).toEqual({ r: 200, g: 8, b: 24 })
})

test("a grid of pictures, row by row", async () => {
  const { width, height, file } = await pictureGrid(images(colours), preprocessing, { columns: 2, rows: 2 })
  expect([width, height]).toEqual([16, 16])
  const { data } = await sharp(file).raw().toBuffer({ resolveWithObject: true })
  const pixel = (x: number, y: number) => [...data.subarray(3 * (y * 16 + x), 3 * (y * 16 + x) + 3)]
  expect([pixel(0, 0), pixel(8, 0), pixel(0, 8), pixel(15, 15)]).toEqual([...colours, [0, 0, 0]])
})

test("the report is one page that loads nothing, with every part of the run", async () => {
  const steps = Array.from({ length: 100 }, (_, i) => entry(i + 1))
  const evaluations = [50, 100].map((step) => ({
    ...{ step, samplesSeen: step * 64, tasks: { colour: step / 200, "<shape>": 0.25 }, average: 0.3 },
  }))
  const page = await reportPage({
    ...{ name: "mine & yours", directory: "my runs/a", steps: 100, entries: [...steps, ...evaluations] },
    recipe: { ...defaultRecipe, schedule: { ...defaultRecipe.schedule, learningRate: 0.002 } },
    samples: [{ jpeg: new Uint8Array([1, 2, 3]), caption: "a <b> cat", synthetic: "one cat" }],
    chance: { colour: 0.1 },
    facts: [["processor", "two cores"]],
  })
  for (const text of [
    "mine &#38; yours",
    "finished",
    "6,400",
    "&#60;shape&#62;",
    "50.0%",
    "a &#60;b&#62; cat",
    "one cat",
  ])
    expect(page).toContain(text)
  for (const label of ["logit scale", "learning rate", "norm of the gradients", "waiting for data", "learningRate"])
    expect(page).toContain(label)
  expect(page).not.toMatch(/NaN|undefined|https?:\/\/(?!www\.w3\.org)/)
  // What came out, what it saw, what to do next; then how.
  const order = ["Zero-shot accuracy 30.0%, mean of 2 tasks", "<h2>Zero-shot accuracy", "<h2>What it saw", "<h2>Next"]
  const places = [...order, "<h2>How it learned", "<h2>How fast", "<h2>Measured on", "<h2>Recipe"]
  const found = places.map((text) => page.indexOf(text))
  expect(found.every((at) => at > 0)).toBe(true)
  expect(found).toEqual(found.toSorted((a, b) => a - b))
  expect(page).toContain("mobileclip export &#39;my runs/a/model.safetensors&#39; --out &#39;my runs/a/model&#39;")
})

/** The default run of 100 steps, changed. */
function pageOf(entries: readonly StepEntry[], more: Partial<Parameters<typeof reportPage>[0]> = {}): Promise<string> {
  return reportPage({ name: "a", recipe: defaultRecipe, steps: 100, entries, samples: [], facts: [], ...more })
}

test("a term of weight 0 is not drawn over the other; two terms that count are drawn with their sum", async () => {
  const curves = (page: string) => page.match(/layer_1_marks[^>]*>(.*?)<\/g>/)![1]!.match(/<path/g)!.length
  const losses = { contrastive: 0, distillation: 2 }
  const steps = Array.from({ length: 100 }, (_, i) =>
    entry(i + 1, { losses: { ...losses, distillation: 2 - i / 100 } }),
  )
  const distilled = await pageOf(steps)
  expect(curves(distilled)).toBe(1)
  expect(distilled).toContain("loss (distillation)")
  expect(distilled).toContain("The term contrastive has weight 0, and is not drawn.")
  expect(distilled).toContain("Loss 2.00 at first, 1.03 at the end")
  const both = await pageOf(steps.map((step) => ({ ...step, losses: { contrastive: 1, distillation: 2 } })))
  expect(both).toContain("Its parts: contrastive, distillation.")
  expect(both.match(/layer_1_marks/g)!.length).toBeGreaterThan(0)
})

test("where a run went on is marked on its curves, and said", async () => {
  const rules = (page: string) => page.match(/mark-rule role-mark/g)?.length ?? 0
  const steps = Array.from({ length: 100 }, (_, i) => entry(i + 1, i === 40 || i === 70 ? { isResumed: true } : {}))
  const page = await pageOf(steps)
  // On the wide and the narrow drawing of the loss, and on five small figures.
  expect(rules(page)).toBe(7)
  expect(page).toContain("Dashed: where it was stopped and went on, after step 40, 70.")
  expect(rules(await pageOf([entry(1), entry(2)]))).toBe(0)
})

test("the recipe is folded, and has the keys that are not defaults", async () => {
  const recipe = { ...defaultRecipe, model: "mobileclip2-s0", data: { ...defaultRecipe.data, train: "x.tar" } }
  const page = await pageOf([entry(1)], { recipe })
  const folded = /<details>([\s\S]*)<\/details>/.exec(page)![1]!
  expect(folded.match(/<tr/g)).toHaveLength(2)
  expect(folded).toMatch(/model[\s\S]*mobileclip2-s0[\s\S]*train[\s\S]*x\.tar/)
  expect(folded).not.toContain("learningRate")
  expect(await pageOf([entry(1)])).toContain("all keys have their defaults")
})

test("a run that was stopped is gone on with, a finished one is used", async () => {
  const stopped = await pageOf([entry(1)], { directory: "runs/a" })
  expect(stopped).toContain("stopped at step 1 of 100")
  expect(stopped).toContain("mobileclip train --out runs/a --resume")
  const finished = await pageOf([entry(100)], { directory: "runs/a", exported: "runs/a/model" })
  expect(finished).toContain("mobileclip classify PICTURE --model runs/a/model --labels cat,dog")
  expect(finished).not.toContain("--resume")
  expect(finished).toContain("Accuracy was not measured")
})

test("names of tasks, losses and runs may hold anything", async () => {
  const hostile = "a\u2028b<img src=x onerror=alert(1)>\x1b\u202e"
  const losses = { [hostile]: 1, other: 2 }
  const evaluations = [1, 2].map((step) => ({
    ...{ step, samplesSeen: step, tasks: { [hostile]: step / 4, second: 0.5 }, average: 0.3 },
  }))
  const page = await reportPage({
    ...{
      name: hostile,
      recipe: defaultRecipe,
      steps: 2,
      entries: [entry(1, { losses }), entry(2, { losses }), ...evaluations],
    },
    samples: [{ jpeg: new Uint8Array([1]), caption: hostile }],
    chance: { [hostile]: 0.1 },
    facts: [[hostile, hostile]],
  })
  expect(page).toContain("a\\u2028b&#60;img src=x onerror=alert(1)&#62;\\x1b\\u202e")
  for (const raw of ["<img src=x", "\u2028", "\u202e", "\x1b"]) expect(page).not.toContain(raw)
})

test("a run without a step has a report too", async () => {
  const page = await reportPage({
    ...{ name: "new", recipe: defaultRecipe, steps: 100, entries: [], samples: [], facts: [] },
  })
  expect(page).toContain("at step 0 of 100")
  expect(page).not.toMatch(/NaN|undefined|Infinity/)
})

test("a run's folder: metrics, events and a report of both parts of a resumed run", async () => {
  const path = folder()
  const tokenizer = new Tokenizer()
  const report = { name: "run", recipe: defaultRecipe, steps: 4, facts: [] }
  for (const [first, resumeStep] of [
    [1, 0],
    [3, 2],
  ] as const) {
    const log = await RunLog.open(path, { resumeStep, every: 2 })
    const { ids: tokens } = tokenizer.encodeBatch(["a red square", "green", "grey"])
    await log.seen(first, { images: images(colours), tokens }, { preprocessing, tokenizer, contextLength: 77 })
    for (const step of [first, first + 1]) expect(log.step(entry(step)).loss).toBeGreaterThan(0)
    log.evaluation({ step: first + 1, samplesSeen: 64 * (first + 1), tasks: { colour: 0.5 }, average: 0.5 })
    await log.writeReport(report)
    log.close()
  }
  const written = await readMetrics(join(path, "metrics.jsonl"))
  expect(written.map(({ step }) => step)).toEqual([2, 2, 4, 4])
  expect(written.map((line) => "losses" in line && line.isResumed === true)).toEqual([false, false, true, false])
  expect(readFileSync(join(path, "report.html"), "utf8")).toContain("a red square")
  expect(readdirSync(join(path, "tensorboard"))).toHaveLength(2)
})
