/**
 * Which few tasks predict the average over the 38: chooses them, fits, and leaves each of the 14 published models out, with the
 * tasks chosen anew each time and with those of all models. Prints the table that src/evaluate/suite/quick.ts holds.
 *
 *     npm run build && node dist/bench/quick-suite.js
 */
import { otherModels } from "../src/evaluate/suite/open-clip-results.ts"
import { publishedModels } from "../src/evaluate/suite/published.ts"
import {
  applyFit,
  averageOf,
  quickCandidates as candidates,
  chooseTasks,
  fitAverage,
  guessing,
  leaveOneOut,
  promptsOf,
  publishedScores,
  quickPenalty,
  rootMeanSquare,
  type Scores,
} from "../src/evaluate/suite/quick-fit.ts"
import { findTask } from "../src/evaluate/suite/tasks.ts"

console.log(`${candidates.length} candidates: ${candidates.join(", ")}\n`)
console.log("error of leaving one model out, in points (root mean square; largest)")
for (const penalty of [30, 100, 300, 1000]) {
  for (const count of [6, 8, 10]) compare(penalty, count)
}

const tasks = chooseTasks(candidates, 10, publishedScores)
const fit = fitAverage(tasks, publishedScores)
console.log(`\npenalty ${quickPenalty}: intercept ${fit.intercept.toFixed(6)}`)
const samples = samplesFor(0.0025)
for (const [key, weight] of Object.entries(fit.weights))
  console.log(
    `  ${key.padEnd(36)} weight ${weight.toFixed(6)}  ${samples[key]} of ${findTask(key)!.size} pictures, ${promptsOf(key)} prompts`,
  )
const total = tasks.reduce((sum, key) => sum + samples[key]!, 0)
console.log(`  ${total} pictures, ${tasks.reduce((sum, key) => sum + promptsOf(key), 0)} prompts`)
console.log(`error of the samples for a model in the middle: ${points(samplingError(samples))}`)
console.log(`a model that guesses: ${points(applyFit(fit, guessing))} predicted, ${points(averageOf(guessing))} true`)

console.log("\nmodels that were not fitted on: root mean square and mean of what the average differs by, in points")
const isFirst = (_: unknown, i: number) => publishedModels[i]!.name.startsWith("MobileCLIP-")
const [firstModels, secondModels] = [true, false].map((first) =>
  publishedScores.filter((scores, i) => isFirst(scores, i) === first),
) as [Scores[], Scores[]]
crossed("the second generation from the first", firstModels, secondModels)
crossed("the first generation from the second", secondModels, firstModels)
const [lowest, highest] = [Math.min(...publishedScores.map(averageOf)), Math.max(...publishedScores.map(averageOf))]
others("other models in the range of the 14", (average) => average >= lowest && average <= highest)
others("weaker ones", (average) => average < lowest)
others("better ones", (average) => average > highest)

function crossed(name: string, fitted: readonly Scores[], left: readonly Scores[]): void {
  const own = fitAverage(chooseTasks(candidates, 10, fitted), fitted)
  missed(
    name,
    left.map((model) => averageOf(model) - applyFit(own, model)),
  )
}

function others(name: string, isMeant: (average: number) => boolean): void {
  const meant = otherModels.filter(({ average }) => isMeant(average))
  missed(
    name,
    meant.map(({ average, scores }) => average - applyFit(fit, scores)),
  )
}

function missed(name: string, errors: readonly number[]): void {
  const mean = errors.reduce((a, b) => a + b, 0) / errors.length
  console.log(`  ${name} (${errors.length}): ${points(rootMeanSquare(errors))}, ${points(mean)}`)
}

function compare(penalty: number, count: number): void {
  const anew = leaveOneOut(publishedScores, (others) => chooseTasks(candidates, count, others, penalty), penalty)
  const chosen = chooseTasks(candidates, count, publishedScores, penalty)
  const fixed = leaveOneOut(publishedScores, () => chosen, penalty)
  const atGuessing = applyFit(fitAverage(chosen, publishedScores, penalty), guessing)
  console.log(
    `  penalty ${String(penalty).padStart(4)}, ${String(count).padStart(2)} tasks: chosen anew ${errorText(anew)}, ` +
      `chosen once ${errorText(fixed)}; guessing ${points(atGuessing)}`,
  )
}

function errorText(errors: readonly number[]): string {
  return `${points(rootMeanSquare(errors))} (${points(Math.max(...errors.map(Math.abs)))})`
}

/** Pictures of each task that together have this error: in proportion to weight and deviation, in hundreds; all where most are. */
function samplesFor(error: number): Readonly<Record<string, number>> {
  for (let total = 1000; ; total += 500) {
    const needs = tasks.map((key) => Math.abs(fit.weights[key]!) * deviation(key))
    const whole = needs.reduce((a, b) => a + b, 0)
    const counts = tasks.map((key, i) => {
      const count = Math.max(300, Math.round((total * needs[i]!) / whole / 100) * 100)
      const size = findTask(key)!.size!
      return [key, count > 0.8 * size ? size : count] as const
    })
    const found = Object.fromEntries(counts)
    if (samplingError(found) <= error) return found
  }
}

/** Binomial, of samples without replacement. */
function samplingError(samples: Readonly<Record<string, number>>): number {
  const variances = tasks.map((key) => {
    const [count, size] = [samples[key]!, findTask(key)!.size!]
    return (fit.weights[key]! * deviation(key)) ** 2 * (1 / count - 1 / size)
  })
  return Math.sqrt(variances.reduce((a, b) => a + b, 0))
}

/** The standard deviation of one answer, for the mean score of the published models. */
function deviation(key: string): number {
  const mean = publishedScores.reduce((sum, scores) => sum + scores[key]!, 0) / publishedScores.length
  return Math.sqrt(mean * (1 - mean))
}

function points(share: number): string {
  return (100 * share).toFixed(2)
}
