import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { type LearningCurve, learningEfficiency } from "../../evaluate/efficiency.ts"
import { thisMachine } from "../../report/machine.ts"
import type { StepEntry } from "../../train/log/entries.ts"
import type { ReportData } from "./report-data.ts"
import { reportJson, writeReport } from "./report-page.ts"

const hostile = `<script>alert("1")</script> & 'more'`

function curve(average: number): LearningCurve {
  return [960, 1920].map((samplesSeen) => ({ samplesSeen, seconds: 1, average, tasks: { shape: average } }))
}

function steps(name: string): StepEntry[] {
  return Array.from({ length: 20 }, (_, i) => ({
    ...{ step: i + 1, samplesSeen: 96 * (i + 1), losses: { [name]: 4 - i / 10 } },
    ...{ learningRate: 1e-3, logitScale: 14, gradNorm: 1, seconds: 0.1, dataSeconds: 0 },
  }))
}

const [plain, reinforced] = [
  [curve(0.2), curve(0.3)],
  [curve(0.4), curve(0.5)],
]

const data: ReportData = {
  seconds: 402,
  samplesSeen: 1920,
  uniquePictures: 500,
  precisePictures: 700,
  model: { name: "tiny", imageSize: 64, embedDim: 8, parameters: { image: 1000, text: 2000, total: 3001 } },
  training: { steps: 20, batchSize: 96, samplesPerSecond: 300, finalLoss: 1.25 },
  plain,
  reinforced,
  guessing: 0.1,
  efficiency: learningEfficiency({ plain, reinforced, guessing: 0.1 }),
  stepTime: {
    ...{ overPlain: 1.77, overBothCaptions: 1.02 },
    ...{ plain: 0.058, bothCaptions: 0.1, reinforced: 0.102, dataWait: 0.001 },
  },
  teachers: [{ name: hostile, ...curve(0.6)[1]! }],
  captioner: {
    ...curve(0.4)[1]!,
    captions: { shape: 0.1, colour: 0.2, pattern: 0.3, count: 0.4, relation: 0.5, average: 0.3 },
  },
  losses: { plain: steps("contrastive"), reinforced: steps("distillation") },
  tasks: [
    {
      name: "shape",
      accuracy: 0.75,
      accuracyAt5: null,
      meanPerClassRecall: 0.7,
      chance: 0.5,
      images: 4,
      confusion: [
        [2, 1],
        [0, 1],
      ],
      classNames: ["star", hostile],
    },
  ],
  retrieval: {
    images: 4,
    texts: 4,
    recallAt1: { textToImage: 0.25, imageToText: 0.5 },
    recallAt5: { textToImage: 1, imageToText: 1 },
    recallAt10: { textToImage: 1, imageToText: 1 },
  },
  pictures: [
    {
      jpeg: Uint8Array.of(255, 216),
      caption: hostile,
      predictions: [{ label: "a star", probability: 0.9 }],
      truth: ["a star"],
    },
    {
      jpeg: Uint8Array.of(255, 217),
      caption: "a ring",
      predictions: [{ label: hostile, probability: 0.6 }],
      truth: ["a ring"],
    },
  ],
  suggestion: {
    ...{ labels: ["star", "ring"], none: "thing", template: "a {}", chosenOn: 30 },
    ...{ named: { pictures: 20, right: 0.9, chance: 0.5 }, others: { pictures: 10, right: 0.6 } },
  },
  stages: [
    { name: "render", seconds: 12 },
    { name: "train", seconds: 390 },
  ],
  machine: thisMachine(),
  versions: { mobileclip: "0.1.0", libtorch: "1.13.1", onnxruntime: "1.30.0", node: "20.19.0" },
  next: [{ command: "mobileclip classify 'a b.jpg'", purpose: "label a picture" }],
}

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "report-"))
  await writeReport(dir, data)
})
afterAll(() => rm(dir, { recursive: true }))

test("the page is complete, escaped and loads nothing", async () => {
  const page = await readFile(join(dir, "report.html"), "utf8")
  expect(page).toContain("45.0% accuracy with reinforcement, 25.0% without")
  expect(page).toContain("1 of 2 right")
  expect(page.match(/<svg /g)).toHaveLength(4)
  // 0.19 and 0.28 take 864 samples each, and 288 and 432 of the reinforced ones.
  expect(page).toContain("plain training needs 2.5 times the samples of reinforced training (2.0 to 3.0 over 2 seeds)")
  expect(page.match(/trained on 700 other pictures/g)).toHaveLength(2)
  expect(page).toMatch(/1\.77 times as long as the plain student&#39;s.*1\.02 times as long/)
  expect(page).toContain("data:image/jpeg;base64,/9g=")
  expect(page).not.toContain("<script")
  expect(page).not.toMatch(/undefined|NaN|\[object/)
  expect(page.replaceAll(/xmlns(:xlink)?="[^"]*"/g, "")).not.toMatch(/https?:|url\(|@import|<link/)
})

test("the page leads with what works: the best task, and the pictures that are right", async () => {
  const [task] = data.tasks
  const tasks = [
    { ...task!, name: "weak", accuracy: 0.52 },
    { ...task!, name: "strong" },
  ]
  const folder = await mkdtemp(join(tmpdir(), "report-"))
  await writeReport(folder, { ...data, tasks, pictures: data.pictures.toReversed() })
  const page = await readFile(join(folder, "report.html"), "utf8")
  await rm(folder, { recursive: true })
  const scores = page.slice(page.indexOf("<h2>Zero-shot accuracy"))
  expect(scores.indexOf(">strong<")).toBeGreaterThan(0)
  expect(scores.indexOf(">strong<")).toBeLessThan(scores.indexOf(">weak<"))
  expect(page.indexOf("✓ right")).toBeLessThan(page.indexOf("✗ wrong"))
  expect(page.indexOf("✓ right")).toBeGreaterThan(0)
})

test("the figures of report.json have their documented names", async () => {
  const json = JSON.parse(await readFile(join(dir, "report.json"), "utf8"))
  expect(json).toEqual(JSON.parse(JSON.stringify(reportJson(data))))
  expect(json).toMatchObject({
    seconds: 402,
    samplesSeen: 1920,
    tasks: [{ name: "shape", accuracy: 0.75, chance: 0.5, images: 4 }],
    plain: [[{ samplesSeen: 960, tasks: { shape: 0.2 }, average: 0.2 }, { samplesSeen: 1920 }], { length: 2 }],
    precisePictures: 700,
    efficiency: { levels: [{ level: 0.8 }, { level: 0.9, samples: {}, seconds: {}, onPlateau: 2 - 2 }, {}, {}] },
    stepTime: { overPlain: 1.77, overBothCaptions: 1.02 },
    teachers: [{ name: hostile, average: 0.6 }],
    captioner: { captions: { average: 0.3 } },
    suggestion: { labels: ["star", "ring"], none: "thing", named: { right: 0.9 } },
    machine: { cores: expect.any(Number), memoryGB: expect.any(Number), node: process.versions.node },
    versions: { libtorch: "1.13.1" },
  })
})
