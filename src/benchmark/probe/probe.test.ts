import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { FakeModel, fakeDataset, fakeTask } from "../../../test/fake-benchmark.ts"
import { Random } from "../../core/arrays/random.ts"
import { l2Normalize } from "../../core/arrays/similarity.ts"
import { accuracyAt } from "../../evaluate/metrics/classification.ts"
import { evaluate } from "../run/evaluate.ts"
import { minimize } from "./lbfgs.ts"
import { fitLogistic, type Labelled, logits } from "./logistic-regression.ts"
import { fewShot, linearProbe } from "./probe.ts"

/** 60 unit vectors of 5 values by a formula, in three classes that overlap. */
function formulaData(): Labelled {
  const labels = Array.from({ length: 60 }, (_, i) => i % 3)
  const value = (i: number, k: number) =>
    Math.sin((i + 1) * (k + 1) * 1.7 + i * i * 0.37) + 0.5 * Math.cos(labels[i]! * 2.1 + k * 1.3)
  const features = Float32Array.from({ length: 300 }, (_, at) => value(Math.floor(at / 5), at % 5))
  return { features: l2Normalize(features, 5), width: 5, labels }
}

// LogisticRegression(C=c, tol=1e-10) of scikit-learn 1.9.1 on the same vectors; its loss with the penalty, by C and rows.
const references = [
  {
    c: 1,
    weights: [
      ...[0.93457, 0.52783, -0.44266, -1.17864, 0.42931, -0.82986, -0.7329, 0.04495, 0.97197, 0.14289],
      ...[-0.10472, 0.20507, 0.39772, 0.20667, -0.5722],
    ],
    biases: [-0.11721, -0.02496, 0.14218],
    loss: 0.862719,
  },
  {
    c: 100,
    weights: [
      ...[1.3664, 0.68793, -0.5169, -1.89385, 0.68967, -1.18414, -0.96978, 0.08212, 1.56772, 0.02138],
      ...[-0.18226, 0.28185, 0.43478, 0.32613, -0.71105],
    ],
    biases: [-0.21317, -0.06539, 0.27857],
    loss: 0.79576916,
  },
]

test.each(references)("with C = $c, weights, biases and loss are scikit-learn's", ({ c, weights, biases, loss }) => {
  const data = formulaData()
  const model = fitLogistic(data, 3, { c, tolerance: 1e-7 })
  weights.forEach((weight, i) => {
    expect(model.weights[i]).toBeCloseTo(weight, 3)
  })
  const mean = model.biases.reduce((a, b) => a + b, 0) / 3
  biases.forEach((bias, i) => {
    expect(model.biases[i]! - mean).toBeCloseTo(bias, 3)
  })
  const scores = logits(model, data.features)
  const losses = Array.from(data.labels, (label, i) => {
    const own = scores.subarray(3 * i, 3 * i + 3)
    return Math.log(own.reduce((sum, score) => sum + Math.exp(score), 0)) - own[label]!
  })
  const penalty = model.weights.reduce((sum, weight) => sum + weight ** 2, 0) / 2
  expect(losses.reduce((a, b) => a + b, 0) / 60 + penalty / (c * 60)).toBeCloseTo(loss, 6)
  expect(fitLogistic(data, 3, { c, tolerance: 1e-7 })).toEqual(model)
})

test("L-BFGS finds the minimum of a badly scaled bowl, and Rosenbrock's valley", () => {
  const scales = [1, 1e2, 1e4]
  const bowl = minimize((at, gradient) => {
    let value = 0
    scales.forEach((scale, i) => {
      gradient[i] = scale * (at[i]! - i - 1)
      value += (scale * (at[i]! - i - 1) ** 2) / 2
    })
    return value
  }, new Float64Array(3))
  expect([...bowl].map((value) => Math.round(value * 1e4) / 1e4)).toEqual([1, 2, 3])
  const valley = minimize(
    (at, gradient) => {
      const [x, y] = [at[0]!, at[1]!]
      gradient[0] = -2 * (1 - x) - 400 * x * (y - x * x)
      gradient[1] = 200 * (y - x * x)
      return (1 - x) ** 2 + 100 * (y - x * x) ** 2
    },
    Float64Array.of(-1.2, 1),
  )
  expect(valley[0]).toBeCloseTo(1, 4)
  expect(valley[1]).toBeCloseTo(1, 4)
})

/** Four classes around four directions of 8 dimensions. */
function clusters(seed: number, each: number, noise: number): Labelled {
  const random = new Random(seed)
  const labels = Array.from({ length: 4 * each }, (_, i) => i % 4)
  const features = Float32Array.from(
    labels.flatMap((label) => Array.from({ length: 8 }, (_, k) => (k === label ? 1 : 0) + noise * random.normal())),
  )
  return { features: l2Normalize(features, 8), width: 8, labels }
}

test("a probe of all pictures is better than one of few, and both are better than guessing", () => {
  const [train, test] = [clusters(1, 100, 0.45), clusters(2, 100, 0.45)]
  const whole = accuracyAt(linearProbe(train, test, 4).predictions, 1)
  const shots = [1, 4, 16].map((count) => {
    const draws = [0, 1, 2].map((seed) => accuracyAt(fewShot(train, test, 4, { shots: count, seed }).predictions, 1))
    return draws.reduce((a, b) => a + b, 0) / 3
  })
  expect(whole).toBeGreaterThan(0.8)
  expect(shots[0]).toBeGreaterThan(0.35)
  expect(shots[1]).toBeGreaterThan(shots[0]!)
  expect(shots[2]).toBeGreaterThan(shots[1]!)
  expect(whole).toBeGreaterThan(shots[2]! - 0.02)
  expect(fewShot(train, test, 4, { shots: 4, seed: 1 })).toEqual(fewShot(train, test, 4, { shots: 4, seed: 1 }))
})

test("the strength is chosen on pictures that the classifier does not see", () => {
  const random = new Random(5)
  const [rows, width] = [200, 60]
  const signal = Array.from({ length: rows }, () => random.normal())
  // A third of the labels are wrong: a classifier that knows them by heart is right on all that it was fitted to.
  const labels = signal.map((value) => Number(value > 0) ^ Number(random.uniform() < 1 / 3))
  const features = signal.flatMap((value) => [value, ...Array.from({ length: width - 1 }, () => random.normal())])
  const train = { features: l2Normalize(Float32Array.from(features), width), width, labels }
  expect(linearProbe(train, train, 2).c).toBeLessThanOrEqual(10)
})

test("with its strength chosen, a classifier is fitted to all pictures: a class of one picture is known", () => {
  const width = 10
  const features = Float32Array.from({ length: width * width }, (_, i) => (i % (width + 1) === 0 ? 1 : 0))
  const one = { features, width, labels: [...Array(width).keys()] }
  expect(accuracyAt(linearProbe(one, one, width).predictions, 1)).toBe(1)
})

/** Pictures of three classes along an arc, as data of a task. */
async function arc() {
  const model = new FakeModel(
    "plane",
    2,
    (number) => [Math.cos(number / 50), Math.sin(number / 50)],
    () => [1, 0],
  )
  const samples = Array.from({ length: 60 }, (_, i) => ({ pictures: [i + 1], label: i < 20 ? 0 : i < 40 ? 1 : 2 }))
  const classes = { classNames: ["a", "b", "c"], templates: ["{}"] }
  const train = await fakeDataset(samples, { ...classes, split: "train", identity: "train" })
  const asked = samples.filter((_, i) => i % 10 === 5)
  const test = await fakeDataset(asked, { ...classes, identity: "test" })
  const labelled = (some: typeof samples): Labelled => ({
    features: Float32Array.from(some.flatMap(({ pictures: [n] }) => [Math.cos(n! / 50), Math.sin(n! / 50)])),
    ...{ width: 2, labels: some.map(({ label }) => label) },
  })
  const task = fakeTask({ key: "own/plane", kind: "classification", mainMetric: "acc1" })
  const open = async (_: unknown, split: string) => (split === "train" ? train : test)
  return { model, task, open, train: labelled(samples), test: labelled(asked) }
}

test("few-shot metrics are means over the draws, with the standard deviation of a sample", async () => {
  const { model, task, open, train, test } = await arc()
  const report = await evaluate({
    ...{ models: [model], data: "fake", tasks: [task], cache: null, open },
    probe: { linear: false, shots: [1], seeds: 3 },
  })
  const draws = [0, 1, 2].map((seed) => accuracyAt(fewShot(train, test, 3, { shots: 1, seed }).predictions, 1))
  const mean = draws.reduce((sum, value) => sum + value, 0) / 3
  const deviation = Math.sqrt(draws.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 2)
  expect(deviation).toBeGreaterThan(0)
  const { acc1, main_metric_std } = report.models[0]!.results[0]!.metrics
  expect([acc1, main_metric_std]).toEqual([expect.closeTo(mean, 9), expect.closeTo(deviation, 9)])
})

test("a run that goes on fits what is missing alone", async () => {
  const { model, task, open } = await arc()
  const out = mkdtempSync(join(tmpdir(), "probe-"))
  try {
    for (const shots of [[2], [2, 4]])
      await evaluate({
        ...{ models: [model], data: "fake", tasks: [task], cache: null, open, out },
        probe: { linear: true, shots, seeds: 1 },
      })
    const lines = readFileSync(join(out, "results.jsonl"), "utf8").trim().split("\n")
    const keys = lines.map((line) => JSON.parse(line).key)
    expect(keys).toEqual(["own/plane@linear", "own/plane@2-shot", "own/plane@4-shot"])
  } finally {
    rmSync(out, { recursive: true })
  }
})

test("as tasks of an evaluation: lines beside the zero-shot one, vectors encoded once", async () => {
  const { model, task, open } = await arc()
  const report = await evaluate({
    ...{ models: [model], data: "fake", tasks: [task], cache: null, open },
    probe: { linear: true, shots: [2, 8], seeds: 3 },
  })
  expect(report.failures).toEqual([])
  const results = report.models[0]!.results
  expect(results.map(({ key }) => key)).toEqual(["own/plane@linear", "own/plane@2-shot", "own/plane@8-shot"])
  expect(results[0]!.metrics).toMatchObject({ acc1: 1, acc5: null, mean_per_class_recall: 1, main_metric: 1 })
  expect(results[2]!.metrics.main_metric).toBeGreaterThanOrEqual(5 / 6)
  expect(results[2]!.details).toMatchObject({ kind: "few-shot", answers: 18, images: 6, classes: 3 })
  expect(Object.keys(results[2]!.metrics)).toEqual(
    expect.arrayContaining(["main_metric_std", "c_seed:0", "c_seed:1", "c_seed:2"]),
  )
  expect(model.encodedImages).toBe(66)
  const without = await evaluate({
    ...{ models: [model], data: "fake", tasks: [task], cache: null },
    open: async (_, split) => (split === "train" ? null : open(_, split)),
    probe: { linear: true, shots: [], seeds: 1 },
  })
  expect(without.failures[0]!.reason).toMatch(/^fake has no training split/)
})
