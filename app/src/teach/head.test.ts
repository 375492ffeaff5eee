import { parseLabels, serializeLabels } from "mobileclip/browser"
import { expect, test } from "vitest"
import { fit, problemOf, softmaxRows, weightsOf } from "./head.ts"
import { headVectors } from "./head-file.ts"
import { strengths, train, wilson } from "./leave-one-out.ts"

/** Repeats: values of a linear congruence, which are not normal, and need not be. */
function randomVectors(count: number, width: number, seed = 1): Float32Array[] {
  let state = seed
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32 - 0.5
  }
  return Array.from({ length: count }, () => unit(Float32Array.from({ length: width }, next)))
}

function unit(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector)
  return vector.map((value) => value / length)
}

/** Three groups around their own directions, near each other as pictures' vectors are. */
function grouped(count: number, spread: number): { vectors: Float32Array[]; groups: number[] } {
  const [common, ...centres] = randomVectors(4, 12, 7)
  const noise = randomVectors(count, 12, 11)
  const groups = noise.map((_, i) => i % 3)
  const vectors = noise.map((one, i) =>
    unit(one.map((value, j) => 2 * common![j]! + 0.5 * centres[i % 3]![j]! + spread * value)),
  )
  return { vectors, groups }
}

function gradientInWeights(vectors: Float32Array[], groups: number[], strength: number, leftOut = -1): number {
  const solved = fit(problemOf(vectors, groups, 3), { strength, leftOut, tolerance: 1e-9 })
  const weights = weightsOf(solved, vectors, 3)
  const gradient = weights.map((row) => row.map((value) => strength * value))
  vectors.forEach((vector, i) => {
    if (i === leftOut) return
    const logits = Float64Array.from(weights, (row) => row.reduce((sum, value, j) => sum + value * vector[j]!, 0))
    softmaxRows(logits, 3).forEach((share, k) => {
      for (let j = 0; j < vector.length; j++) gradient[k]![j]! += (share - (groups[i] === k ? 1 : 0)) * vector[j]!
    })
  })
  return Math.max(...gradient.flatMap((row) => [...row].map(Math.abs)))
}

test("at the solution the gradient of the loss in the weights is zero, with all pictures and without one", () => {
  const { vectors, groups } = grouped(30, 0.8)
  for (const strength of strengths) {
    expect(gradientInWeights(vectors, groups, strength)).toBeLessThan(1e-6)
    expect(gradientInWeights(vectors, groups, strength, 4)).toBeLessThan(1e-6)
  }
})

test("a picture that is left out has no part: a head of the others says the same of it", () => {
  const { vectors, groups } = grouped(21, 0.8)
  const without = fit(problemOf(vectors, groups, 3), { strength: 0.1, leftOut: 20, tolerance: 1e-9 })
  const [others, theirs] = [vectors.slice(0, 20), groups.slice(0, 20)]
  const weights = weightsOf(fit(problemOf(others, theirs, 3), { strength: 0.1, tolerance: 1e-9 }), others, 3)
  const logits = weights.map((row) => row.reduce((sum, value, j) => sum + value * vectors[20]![j]!, 0))
  logits.forEach((logit, k) => {
    expect(without.logits[20 * 3 + k]).toBeCloseTo(logit, 6)
  })
})

test("groups that differ are told apart, and pictures whose groups were drawn by lot are not", async () => {
  const { vectors, groups } = grouped(45, 0.25)
  const clear = await train(vectors, groups, 3)
  expect(clear.right).toBe(45)
  expect(clear.judged.map(({ said }) => said)).toEqual(groups)
  const drawn = await train(
    randomVectors(60, 12, 3),
    randomVectors(60, 1, 5).map((_, i) => (i * i + (i >> 2)) % 3),
    3,
  )
  expect(drawn.right).toBeLessThan(32)
  expect(drawn.interval[0]).toBeLessThan(1 / 3)
})

test("one mislabelled picture among clear groups is found", async () => {
  const { vectors, groups } = grouped(45, 0.25)
  const told = groups.map((group, i) => (i === 9 ? (group + 1) % 3 : group))
  const { judged, right } = await train(vectors, told, 3)
  expect(judged.flatMap(({ said }, i) => (said === told[i] ? [] : [i]))).toEqual([9])
  expect(right).toBe(44)
})

/** Without a warm start and without weights of 0: the others' own head. */
function saidByOthers(vectors: Float32Array[], groups: number[], strength: number, picture: number): Float64Array {
  const others = vectors.filter((_, i) => i !== picture)
  const theirs = groups.filter((_, i) => i !== picture)
  const weights = weightsOf(fit(problemOf(others, theirs, 3), { strength, tolerance: 1e-3 }), others, 3)
  return Float64Array.from(weights, (row) => row.reduce((sum, value, j) => sum + value * vectors[picture]![j]!, 0))
}

/** [strength][picture] */
function lossesOfOthers(vectors: Float32Array[], groups: number[]): number[][] {
  const lossOf = (strength: number, i: number) =>
    -Math.log(softmaxRows(saidByOthers(vectors, groups, strength, i), 3)[groups[i]!]!)
  return strengths.map((strength) => vectors.map((_, i) => lossOf(strength, i)))
}

function bestStrength(losses: readonly number[][], some: readonly number[]): number {
  const sums = losses.map((ofStrength) => some.reduce((sum, i) => sum + ofStrength[i]!, 0))
  return strengths[sums.indexOf(Math.min(...sums))]!
}

test("forty pictures, evenly spread, choose the strength, and each one's share is that of a head of the others", async () => {
  const { vectors, groups: clear } = grouped(60, 0.6)
  // The last third has wrong names, so that it matters who chooses.
  const groups = clear.map((group, i) => (i >= 40 && i % 3 === 0 ? (group + 1) % 3 : group))
  const { strength, judged } = await train(vectors, groups, 3)
  const losses = lossesOfOthers(vectors, groups)
  const chosenBy = (some: readonly number[]) => bestStrength(losses, some)
  const count = (most: number) => Array.from({ length: most }, (_, i) => i)
  expect(strength).toBe(chosenBy(count(40).map((i) => Math.floor(0.75 + 1.5 * i))))
  expect([count(40), count(60), [15, 45]].map(chosenBy)).not.toContain(strength)
  judged.forEach(({ said, share }, i) => {
    const shares = softmaxRows(saidByOthers(vectors, groups, strength, i), 3)
    expect(share).toBeCloseTo(shares[said]!, 2)
    expect(share).toBeGreaterThan(Math.max(...shares) - 0.01)
  })
})

test("training ends with the signal's reason, and says how far it is", async () => {
  const { vectors, groups } = grouped(120, 0.8)
  const controller = new AbortController()
  const shares: number[] = []
  const running = train(vectors, groups, 3, {
    signal: controller.signal,
    onProgress: (share) => {
      shares.push(share)
      controller.abort(new Error("enough"))
    },
  })
  await expect(running).rejects.toThrow("enough")
  expect(shares).toHaveLength(1)
  expect(shares[0]).toBeGreaterThan(0)
})

test("Wilson's interval: published values", () => {
  const [low, high] = wilson(18, 20)
  expect([low.toFixed(4), high.toFixed(4)]).toEqual(["0.6990", "0.9721"])
  expect(wilson(20, 20)[1]).toBe(1)
  expect(wilson(0, 20)[0]).toBe(0)
})

// ------------------------------------------------------------------------------------------------------------- file

const of = { model: "tiny", weights: "ab", embedDim: 12 }

test.each([2, 3, 5])("unit rows with one scale say what a head of %i groups says", (count) => {
  const weights = randomVectors(count, 12, 20).map((row, k) => Float64Array.from(row, (value) => value * (3 + 4 * k)))
  const names = weights.map((_, k) => `group ${k}`)
  const read = parseLabels(serializeLabels(headVectors(weights, names, of)), "head.json")
  expect(read).toMatchObject({ ...of, labels: names, templates: ["{}"] })
  for (const picture of randomVectors(20, 12, 30)) {
    const dot = (row: ArrayLike<number>) => picture.reduce((sum, value, j) => sum + value * row[j]!, 0)
    const expected = softmaxRows(Float64Array.from(weights, dot), count)
    const rows = names.map((_, k) => read.vectors.subarray(k * 12, (k + 1) * 12))
    const said = softmaxRows(
      Float64Array.from(rows, (row) => read.logitScale! * dot(row)),
      count,
    )
    said.forEach((share, k) => {
      expect(share).toBeCloseTo(expected[k]!, 5)
    })
  }
})

test("groups with the same pictures cannot be written", () => {
  const [row, other] = randomVectors(2, 12, 40).map((each) => Float64Array.from(each))
  expect(() => headVectors([row!, row!.slice(), other!], ["a", "b", "c"], of)).toThrow(/cannot be told apart/)
})
