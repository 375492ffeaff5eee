import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { safetensorsChunks } from "../../core/containers/safetensors.ts"
import { headlineOf } from "../../evaluate/efficiency.ts"
import { compareCurves } from "./compare-curves.ts"
import { nameOf } from "./curve-run.ts"
import { curvePage } from "./page.ts"
import { caveatText, levelRows, plateauText, sideRows, verdictText } from "./words.ts"

const root = mkdtempSync(join(tmpdir(), "mobileclip-curve-"))
afterAll(() => rmSync(root, { recursive: true }))

type Point = readonly [samples: number, score: number]

/** A run of steps of ten samples, whose lines stand for two steps each. */
function writeRun(path: string, points: readonly Point[], { seconds = 1, data = "" } = {}): string {
  const folder = join(root, path)
  mkdirSync(join(folder, "checkpoints"), { recursive: true })
  const line = (step: number) => ({ step, samplesSeen: 10 * step, losses: { contrastive: 1 }, gradNorm: 1, seconds })
  const lines: object[] = []
  for (let step = 2; step <= points.at(-1)![0] / 10; step += 2) {
    lines.push(line(step))
    for (const [samplesSeen, score] of points)
      if (samplesSeen === 10 * step) lines.push({ step, samplesSeen, tasks: { cifar10: score }, average: score })
  }
  writeFileSync(join(folder, "metrics.jsonl"), lines.map((entry) => `${JSON.stringify(entry)}\n`).join(""))
  if (data !== "") {
    const training = JSON.stringify({ step: 1, settings: { data } })
    writeFileSync(
      join(folder, "checkpoints", "step-00000010.safetensors"),
      Buffer.concat([...safetensorsChunks([], { training })]),
    )
  }
  return folder
}

const slow: Point[] = [
  [200, 0.3],
  [400, 0.5],
]
const fast: Point[] = [
  [100, 0.5],
  [200, 0.6],
  [400, 0.7],
]

test("folders are called by kind, seed, steps and pictures", () => {
  const none = { seed: null, ofSteps: null, pictures: null }
  expect(nameOf("/runs/plain-3")).toEqual({ ...none, kind: "plain", seed: 3 })
  expect(nameOf("/runs/plain-0-of-156-steps")).toEqual({ ...none, kind: "plain", seed: 0, ofSteps: 156 })
  expect(nameOf("/students/of-625-pictures/plain-0")).toEqual({ ...none, kind: "plain", seed: 0, pictures: 625 })
  expect(nameOf("/runs/my-model")).toEqual({ ...none, kind: "my-model" })
  expect(nameOf("/runs/a-2-of-50-samples")).toEqual({ ...none, kind: "a", seed: 2, pictures: 50 })
})

test("ratios at four levels in samples and seconds, worked out by hand; each line of two steps counts twice", async () => {
  const runs = [writeRun("hand/plain-0", slow), writeRun("hand/reinforced-0", fast, { seconds: 2 })]
  const report = await compareCurves({ runs, guessing: 0.1 })
  const [comparison] = report.comparisons
  expect(comparison).toMatchObject({ weaker: "plain", stronger: "reinforced", pairs: 1, pairing: "seeds" })
  // A gain of 0.4. At 80 % of it, 0.42: 320 samples, and 80 on the other curve, which starts at 0.1.
  const at = comparison!.efficiency.levels.map(({ samples }) => samples.median)
  expect(at).toEqual([4, 360 / 90, 380 / 95, 400 / 100].map((ratio) => expect.closeTo(ratio, 9)))
  // Ten samples a step: one second a step, and two.
  expect(comparison!.efficiency.levels.map(({ seconds }) => seconds!.median)).toEqual(
    at.map((each) => expect.closeTo(each / 2, 9)),
  )
  expect(report.sides[0]!.runs[0]!.curve.map(({ seconds }) => seconds)).toEqual([20, 40])
  expect(verdictText(comparison!)).toBe(
    "For 90% of plain's gain over guessing, plain needs 4.0 times the samples of reinforced",
  )
  expect(caveatText(comparison!)).toMatch(/^One run a side/)
})

test("the weaker side is the one with the lower best, also where it is not the baseline", async () => {
  const runs = [writeRun("swap/plain-0", fast), writeRun("swap/other-0", slow)]
  const { comparisons, baseline } = await compareCurves({ runs, guessing: 0.1 })
  expect(baseline).toBe("plain")
  expect([comparisons[0]!.weaker, comparisons[0]!.stronger]).toEqual(["other", "plain"])
  expect(headlineOf(comparisons[0]!.efficiency).samples.median).toBeCloseTo(4, 9)
})

test("seeds are compared with each other, and different seeds each with each", async () => {
  for (const seed of [0, 1]) {
    writeRun(`seeds/plain-${seed}`, slow)
    writeRun(`seeds/reinforced-${1 - seed}`, seed === 0 ? fast : slow)
  }
  const same = (await compareCurves({ runs: [join(root, "seeds")], guessing: 0.1 })).comparisons[0]!
  expect(same).toMatchObject({ pairs: 2, pairing: "seeds" })
  expect(headlineOf(same.efficiency).samples).toEqual({
    median: expect.closeTo(2.5, 9),
    low: expect.closeTo(1, 9),
    high: expect.closeTo(4, 9),
  })
  writeRun("seeds/plain-7", slow)
  const all = await compareCurves({
    runs: [join(root, "seeds", "reinforced-0"), join(root, "seeds", "reinforced-1")],
    baseline: [0, 1, 7].map((seed) => join(root, "seeds", `plain-${seed}`)),
    guessing: 0.1,
  })
  expect(all.comparisons[0]).toMatchObject({ weaker: "plain", pairs: 6, pairing: "all" })
})

test("an experiment's folder: students alone, short schedules, subsets, and what its report says of guessing", async () => {
  const home = join(root, "cifar10")
  writeRun("cifar10/teachers/a", fast)
  for (const [kind, points] of [
    ["plain", slow],
    ["reinforced", fast],
  ] as const) {
    writeRun(`cifar10/students/${kind}-0`, points, { data: "400 samples in 8 shards, 100 bytes (00)" })
    const end = points.at(-1)![1]
    writeRun(`cifar10/students/of-100-pictures/${kind}-0`, [[400, kind === "plain" ? 0.2 : end - 0.1]])
  }
  writeRun("cifar10/students/plain-0-of-20-steps", [[200, 0.4]])
  writeFileSync(join(home, "report.json"), JSON.stringify({ guessing: 0.1 }))
  const report = await compareCurves({ runs: [home] })
  expect(report.guessing).toBe(0.1)
  expect(
    report.sides.map(({ name, runs, subsets, scheduled }) => [name, runs.length, subsets.length, scheduled.length]),
  ).toEqual([
    ["plain", 1, 1, 1],
    ["reinforced", 1, 1, 0],
  ])
  const { efficiency, unique, uniqueIsBound } = report.comparisons[0]!
  expect(efficiency.scheduled.map(({ share, average }) => [share, average])).toEqual([
    [0.5, 0.4],
    [1, 0.5],
  ])
  // Plain has 0.46 with 100 + 300 * 0.26 / 0.3 pictures, reinforced with the fewest that were tried, and perhaps with fewer.
  expect(headlineOf(unique!).samples.median).toBeCloseTo(360 / 100, 9)
  expect(uniqueIsBound).toBe(true)
  expect(levelRows(report.comparisons[0]!)[1]).toMatchObject({
    against: "90% of its gain",
    unique: "3.6",
    isHeadline: true,
  })
  const page = await curvePage(report)
  for (const text of [
    "<h2>Accuracy over different pictures",
    "plain, 100 different",
    "4.0",
    "3.6",
    "different pictures, at least",
  ])
    expect(page).toContain(text)
  expect(page).not.toMatch(/NaN|undefined|Infinity|https?:\/\/(?!www\.w3\.org)/)
})

test("a plateau is found and said, and a run that learned nothing has no ratio", async () => {
  const flat: Point[] = [
    [100, 0.49],
    [400, 0.5],
  ]
  const runs = [
    writeRun("flat/plain-0", flat),
    writeRun("flat/reinforced-0", fast),
    writeRun("flat/none-0", [[400, 0.1]]),
  ]
  const report = await compareCurves({ runs, guessing: 0.1 })
  // 95 % of the gain of 0.4: 0.48 after 100 * 0.38 / 0.39 samples.
  expect(report.sides[0]!.runs[0]!.plateau).toBeCloseTo(97.44, 2)
  expect(levelRows(report.comparisons[0]!).map(({ against }) => against)).toEqual([
    "80% of its gain",
    "90% of its gain",
    "95% of its gain, on a plateau",
    "100% of its gain, on a plateau",
  ])
  const plateau = "plain is on a plateau after about 97 samples: from there on it adds 5% to its gain at most"
  expect(plateauText(report.sides[0]!, { isWeaker: true })).toBe(
    `${plateau}, and a longer run raises the ratio at 100%.`,
  )
  expect(plateauText(report.sides[0]!, { isWeaker: false })).toBe(`${plateau}.`)
  expect(sideRows(report)[0]!.plateau).toBe("97")
  const none = report.comparisons.find(({ weaker }) => weaker === "none")!
  expect(verdictText(none)).toBe("none learned nothing beyond guessing, so there is no ratio to plain")
  expect(levelRows(none)).toEqual([])
})

test("what guessing gives is known by a task's name, or asked for", async () => {
  const runs = [writeRun("known/a-0", slow), writeRun("known/b-0", fast)]
  expect((await compareCurves({ runs })).guessing).toBe(0.1)
  const folder = writeRun("unknown/a-0", slow)
  writeFileSync(join(folder, "metrics.jsonl"), '{"step":1,"samplesSeen":10,"tasks":{"birds":0.5},"average":0.5}\n')
  await expect(compareCurves({ runs: [folder] })).rejects.toThrow("it is not known what guessing gives in birds")
  await expect(compareCurves({ runs: [...runs, folder], guessing: 0.1 })).rejects.toThrow("no task in common")
})

test("an experiment's guessing is of all its tasks: where some are left out, it is that of the others", async () => {
  const plain = writeRun("partly/students/plain-0", slow)
  const reinforced = writeRun("partly/students/reinforced-0", fast)
  const both = { step: 40, samplesSeen: 400, tasks: { cifar10: 0.5, birds: 0.9 }, average: 0.7 }
  writeFileSync(join(plain, "metrics.jsonl"), `${JSON.stringify(both)}\n`)
  writeFileSync(join(root, "partly", "report.json"), JSON.stringify({ guessing: 0.4 }))
  const { guessing, tasks, notes } = await compareCurves({ runs: [plain, reinforced] })
  expect([guessing, tasks]).toEqual([0.1, ["cifar10"]])
  expect(notes).toContain("the average is over the one task that all runs have, of 2")
})

test("what is not a run, and a run without evaluations, are said", async () => {
  await expect(compareCurves({ runs: [join(root, "nowhere")] })).rejects.toThrow("there is no such folder")
  const folder = writeRun("plainly/a-0", slow)
  writeFileSync(join(folder, "metrics.jsonl"), '{"step":1,"samplesSeen":10,"losses":{},"seconds":1}\n')
  await expect(compareCurves({ runs: [folder] })).rejects.toThrow(`${folder} has no evaluation`)
  writeFileSync(join(folder, "metrics.jsonl"), '{"step":1,"samplesSeen":10,"tasks":{"a":"x"}}\n')
  await expect(compareCurves({ runs: [folder] })).rejects.toThrow("has no scores")
})

test("a log of 150,000 steps, each evaluated, is read in one pass", async () => {
  const folder = join(root, "long/plain-0")
  mkdirSync(folder, { recursive: true })
  const count = 150_000
  const lines = Array.from({ length: count }, (_, i) => {
    const [step, score] = [i + 1, 0.1 + (0.5 * (i + 1)) / count]
    const training = `{"step":${step},"samplesSeen":${10 * step},"losses":{"contrastive":1},"gradNorm":1,"seconds":${1 + (step % 2)}}`
    return `${training}\n{"step":${step},"samplesSeen":${10 * step},"tasks":{"cifar10":${score}},"average":${score}}\n`
  })
  writeFileSync(join(folder, "metrics.jsonl"), lines.join(""))
  const report = await compareCurves({ runs: [folder], guessing: 0.1 })
  const { curve, plateau } = report.sides[0]!.runs[0]!
  // Steps of two seconds and of one, in turn.
  expect([0, 1, 2, count - 1].map((i) => curve[i]!.seconds)).toEqual([2, 3, 5, 1.5 * count])
  expect([curve.length, plateau]).toEqual([count, null])
  const page = await curvePage(report)
  expect(page).toContain("60.0%")
})
