import { expect, test } from "vitest"
import { groupAverages, officialAverage } from "./averages.ts"
import { otherModels } from "./open-clip-results.ts"
import { publishedModels } from "./published.ts"
import { isSampled, predictAverage, quickErrors, quickIntercept, quickTasks } from "./quick.ts"
import {
  applyFit,
  averageOf,
  chooseTasks,
  fitAverage,
  guessing,
  leaveOneOut,
  publishedScores,
  quickCandidates,
  rootMeanSquare,
} from "./quick-fit.ts"
import { findTask } from "./tasks.ts"

const keys = quickTasks.map(({ key }) => key)

test("the tasks and their weights are those that the published results give", () => {
  expect(chooseTasks(quickCandidates, 10, publishedScores)).toEqual(keys)
  const { intercept, weights } = fitAverage(keys, publishedScores)
  expect(quickIntercept).toBeCloseTo(intercept, 6)
  for (const { key, weight } of quickTasks) expect(weight, key).toBeCloseTo(weights[key]!, 6)
})

test("leaving one model out errs by half a point where the tasks are chosen without it, and by less where they are fixed", () => {
  const anew = rootMeanSquare(leaveOneOut(publishedScores, (others) => chooseTasks(quickCandidates, 10, others)))
  const once = rootMeanSquare(leaveOneOut(publishedScores, () => keys))
  expect(quickErrors.chosenAnew).toBeCloseTo(anew, 6)
  expect(quickErrors.chosenOnce).toBeCloseTo(once, 6)
  expect(anew).toBeLessThan(0.006)
})

test("models that were not fitted on are missed by more, and predictions say so", () => {
  const lowest = Math.min(...publishedScores.map(averageOf))
  const highest = Math.max(...publishedScores.map(averageOf))
  const found = otherModels.map(({ average, scores }) => {
    const results = keys.map((key) => ({
      key,
      metrics: { acc1: scores[key]! },
      details: { answers: findTask(key)!.size! },
    }))
    const { average: predicted, error } = predictAverage(results)!
    return { average, error, missed: average - predicted }
  })
  expect(found).toHaveLength(121)
  const inRange = found.filter(({ average }) => average >= lowest && average <= highest)
  const weaker = found.filter(({ average }) => average < lowest)
  const missedBy = (models: typeof found) => rootMeanSquare(models.map(({ missed }) => missed))
  expect(quickErrors.otherModels).toBeCloseTo(missedBy(inRange), 6)
  expect(quickErrors.weakerModels).toBeCloseTo(missedBy(weaker), 6)
  // One standard error holds for two of three, two hold for nineteen of twenty.
  const within = (errors: number) =>
    found.filter(({ missed, error }) => Math.abs(missed) <= errors * error).length / found.length
  expect(within(1)).toBeGreaterThan(0.6)
  expect(within(2)).toBeGreaterThan(0.9)
})

test("a generation that was not fitted on is missed by about a point, to one side", () => {
  const isFirst = publishedModels.map(({ name }) => name.startsWith("MobileCLIP-"))
  const missed = [true, false].map((first) => {
    const [fitted, others] = [first, !first].map((kind) => publishedScores.filter((_, i) => isFirst[i] === kind))
    const chosen = chooseTasks(quickCandidates, 10, fitted!)
    const fit = fitAverage(chosen, fitted!)
    const errors = others!.map((model) => 100 * (averageOf(model) - applyFit(fit, model)))
    return [rootMeanSquare(errors), errors.reduce((a, b) => a + b, 0) / errors.length]
  })
  expect(missed.flat().map((points) => points.toFixed(2))).toEqual(["1.18", "-1.15", "0.93", "0.84"])
})

test("the average of a published model is predicted within the error of all pictures", () => {
  const lowest = Math.min(...publishedScores.map(averageOf))
  for (const { name, results } of publishedModels) {
    const all = results.map((result) => ({ ...result, details: { answers: findTask(result.key)!.size! } }))
    const { average, error, sampleError, extrapolates } = predictAverage(all)!
    const official = groupAverages(results).find(({ group }) => group.name === officialAverage)!.average!
    expect(Math.abs(average - official), name).toBeLessThan(2 * quickErrors.chosenAnew)
    expect({ error, sampleError, extrapolates }).toEqual({
      error: average < lowest ? quickErrors.weakerModels : quickErrors.otherModels,
      sampleError: 0,
      extrapolates: false,
    })
  }
})

test("samples add a binomial error", () => {
  const results = keys.map((key) => ({ key, metrics: { acc1: 0.5 } }))
  const variances = quickTasks.map(({ key, samples, weight }) => {
    const size = findTask(key)!.size!
    return weight ** 2 * 0.25 * (1 / samples - 1 / size)
  })
  const sampleError = Math.sqrt(variances.reduce((a, b) => a + b, 0))
  const predicted = predictAverage(results)!
  expect(predicted.sampleError).toBeCloseTo(sampleError, 12)
  expect(predicted.error).toBeCloseTo(Math.hypot(quickErrors.weakerModels, sampleError), 12)
  // Half of the answers right is the worst case; together it is below the goal for a model like the published ones.
  for (const { name, results: own } of publishedModels)
    expect(Math.hypot(quickErrors.chosenAnew, predictAverage(own)!.sampleError), name).toBeLessThan(0.006)
})

test("weak models lie between the published ones and one that guesses", () => {
  const guessed = applyFit(fitAverage(keys, publishedScores), guessing)
  expect(Math.abs(guessed - averageOf(guessing))).toBeLessThan(0.005)
  const weak = keys.map((key) => ({ key, metrics: { acc1: guessing[key]! } }))
  expect(predictAverage(weak)).toMatchObject({ extrapolates: true })
})

test("a missing task leaves nothing to predict", () => {
  const results = keys.map((key) => ({ key, metrics: { main_metric: 0.5 } }))
  expect(predictAverage(results.slice(1))).toBeNull()
  expect(predictAverage([...results.slice(1), { key: keys[0]!, metrics: { main_metric: null } }])).toBeNull()
})

test("samples are spread evenly, and are as many as asked for", () => {
  const sampled = [...Array(10).keys()].filter((index) => isSampled(index, 10, 4))
  expect(sampled).toEqual([2, 4, 7, 9])
  for (const { key, samples } of quickTasks) {
    const size = findTask(key)!.size!
    expect([...Array(size).keys()].filter((index) => isSampled(index, size, samples))).toHaveLength(samples)
  }
  expect(isSampled(3, 5, 9)).toBe(true)
})
