import { expect, test } from "vitest"
import { Random } from "../../core/arrays/random.ts"
import { l2Normalize } from "../../core/arrays/similarity.ts"
import type { Background } from "./background.ts"
import { calibrationOf, type QueryKind } from "./calibration.ts"
import { explainScore, explainThreshold } from "./explain.ts"
import { backgroundPrompts } from "./prompts.ts"

const dim = 32

/** [count, dim] unit vectors around `center`, `nearness` of 0 (random) to above. */
function around(random: Random, count: number, center: Float32Array, nearness: number): Float32Array {
  const rows = Float32Array.from({ length: count * dim }, (_, i) => random.normal() + nearness * center[i % dim]!)
  return l2Normalize(rows, dim)
}

function axis(place: number): Float32Array {
  return Float32Array.from({ length: dim }, (_, i) => (i === place ? 1 : 0))
}

/** Captions and pictures that have nothing to do with each other, in cones of their own as CLIP's are. */
function background(pictures = 200, seed = 1): Background {
  const random = new Random(seed)
  return { dim, prompts: around(random, 60, axis(0), 6), pictures: around(random, pictures, axis(1), 4) }
}

const query = around(new Random(9), 1, axis(0), 6)
const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i]!, 0)
const row = (rows: Float32Array, i: number) => rows.subarray(i * dim, (i + 1) * dim)
const rowsOf = (rows: Float32Array) => Array.from({ length: rows.length / dim }, (_, i) => row(rows, i))
const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
const deviation = (values: number[]) => Math.sqrt(mean(values.map((value) => (value - mean(values)) ** 2)))
const middle = (values: number[]) => {
  const sorted = values.toSorted((a, b) => a - b)
  return (sorted[Math.floor((sorted.length - 1) / 2)]! + sorted[Math.ceil((sorted.length - 1) / 2)]!) / 2
}
const clamp = (value: number, low: number, high: number) => Math.min(Math.max(value, low), high)

/** Half of the pictures match the query. */
function halfMatching(): Background {
  const half = background(200)
  const matching = around(new Random(4), 200, query, 40)
  for (let i = 0; i < 200; i += 2) half.pictures.set(row(matching, i), i * dim)
  return half
}

/** z of both sides in double precision. */
function plainScale({ prompts, pictures }: Background) {
  const [captions, each] = [rowsOf(prompts), rowsOf(pictures)]
  const scores = captions.map((caption) => each.map((picture) => dot(caption, picture)))
  const centers = scores.map(middle)
  const spread = middle(scores.map(deviation))
  const pictureSpread = middle(each.map((picture) => deviation(captions.map((caption) => dot(caption, picture)))))
  const location = middle(centers) + 1.5 * 1.4826 * middle(centers.map((c) => Math.abs(c - middle(centers))))
  return (vector: Float32Array) => {
    const own = each.map((picture) => dot(vector, picture))
    const [center, width] = [Math.min(middle(own), location), clamp(deviation(own), 0.75 * spread, 1.25 * spread)]
    return (picture: Float32Array) => {
      const cosine = dot(vector, picture)
      const other = (cosine - mean(captions.map((caption) => dot(caption, picture)))) / pictureSpread
      return ((cosine - center) / width + other) / 2
    }
  }
}

test.each([
  ["a query that nothing matches", background()],
  ["a query that half of the pictures match, whose location and spread are limited", halfMatching()],
])("z equals a plain computation in double precision: %s", (_, given) => {
  const zOf = plainScale(given)(query)
  const calibration = calibrationOf(query, "text", given, 200)
  // Cosines of the background are float32: about 1e-7, divided by a spread of 0.1.
  for (const picture of rowsOf(given.pictures).slice(0, 10))
    expect(calibration.zOf(dot(query, picture), picture)).toBeCloseTo(zOf(picture), 4)
})

/** A value between those of a sorted list, by a straight line. */
function share(values: number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const place = part * (sorted.length - 1)
  const low = sorted[Math.floor(place)]!
  return low + (sorted[Math.ceil(place)]! - low) * (place - Math.floor(place))
}

test("the divider equals a plain computation: what captions' best of as many pictures reach, and the last slope above", () => {
  const given = background()
  const scale = plainScale(given)
  const z = rowsOf(given.prompts).map((caption) => rowsOf(given.pictures).map(scale(caption)))
  const [strictness, doublings] = [1.5, 7]
  const heights = Array.from({ length: doublings + 1 }, (_, i) => {
    const groups = Math.min(32, Math.floor(200 / 2 ** i))
    const best = z.flatMap((values) =>
      Array.from({ length: groups }, (_, group) => Math.max(...values.slice(group * 2 ** i, (group + 1) * 2 ** i))),
    )
    return middle(best) + strictness * (middle(best) - share(best, 0.1))
  }).map((_, i, all) => Math.max(...all.slice(0, i + 1)))
  const slope = (heights[7]! - heights[4]!) / 3
  const between = (i: number, place: number) => heights[i]! + (heights[i + 1]! - heights[i]!) * (place - i)
  const thresholdFor = (searched: number) => calibrationOf(query, "text", given, searched).threshold
  expect(thresholdFor(3)).toBeCloseTo(between(1, Math.log2(3)), 4)
  expect(thresholdFor(64)).toBeCloseTo(heights[6]!, 4)
  expect(thresholdFor(200)).toBeCloseTo(heights[7]! + slope * (Math.log2(200) - 7), 4)
  expect(thresholdFor(10_000)).toBeCloseTo(heights[7]! + slope * (Math.log2(10_000) - 7), 4)
  expect(slope).toBeGreaterThan(0.05)
})

test("a picture that the query describes is a match, and unrelated ones are not", () => {
  const calibration = calibrationOf(query, "text", background(), 200)
  const match = around(new Random(3), 1, query, 40)
  expect(calibration.verdict(calibration.zOf(dot(match, query), match))).toBe("match")
  const others = rowsOf(background(200, 5).pictures)
  const accepted = others.filter(
    (picture) => calibration.verdict(calibration.zOf(dot(picture, query), picture)) === "match",
  )
  // The divider leaves out about 10 % of the best ones of 200, so nearly all of the single ones.
  expect(accepted.length).toBeLessThanOrEqual(3)
})

test("a background of which half matches the query still calls them matches", () => {
  const half = halfMatching()
  const matching = around(new Random(4), 200, query, 40)
  const calibration = calibrationOf(query, "text", half, 200)
  const found = rowsOf(matching).filter((m) => calibration.verdict(calibration.zOf(dot(m, query), m)) === "match")
  expect(found).toHaveLength(200)
})

test.each(["text", "mixed"] as const)("%s: the divider rises with the pictures that are searched", (kind) => {
  const dividers = [1, 2, 3, 10, 100, 200, 1000, 1e6].map((n) => calibrationOf(query, kind, background(), n).threshold)
  expect(dividers).toEqual(dividers.toSorted((a, b) => a - b))
  expect(dividers.at(-1)! - dividers[0]!).toBeGreaterThan(1)
})

test("one more strict has a higher divider", () => {
  const at = (strictness: number) => calibrationOf(query, "text", background(), 100, { strictness }).threshold
  expect(at(0)).toBeLessThan(at(1))
  expect(at(1)).toBeLessThan(at(2))
})

test("the order of captions changes nothing, and a repeated call gives the same numbers", () => {
  const given = background()
  const reversed = {
    ...given,
    prompts: Float32Array.from(
      rowsOf(given.prompts)
        .reverse()
        .flatMap((r) => [...r]),
    ),
  }
  const numbers = (b: Background) => {
    const calibration = calibrationOf(query, "text", b, 500)
    return [calibration.threshold, calibration.zOf(0.2, row(given.pictures, 3))]
  }
  expect(numbers(given)).toEqual(numbers(background()))
  // Sums in another order.
  numbers(reversed).forEach((value, i) => {
    expect(value).toBeCloseTo(numbers(given)[i]!, 5)
  })
})

test("small indexes: captions alone judge a text, and nothing judges a picture", () => {
  for (const pictures of [1, 5]) {
    const text = calibrationOf(query, "text", background(pictures), pictures)
    expect(text.basis).toBe("captions")
    const match = around(new Random(3), 1, query, 40)
    expect(text.verdict(text.zOf(dot(match, query), match))).toBe("match")
    for (const kind of ["picture", "mixed"] as const) {
      const none = calibrationOf(query, kind, background(pictures), pictures)
      expect([none.basis, none.zOf(0.5, query), none.verdict(Number.NaN)]).toEqual(["none", Number.NaN, null])
    }
  }
  const twenty = calibrationOf(query, "text", background(20), 20)
  expect(twenty.basis).toBe("captions and pictures")
  expect(Number.isFinite(twenty.threshold)).toBe(true)
})

test("an empty background has no basis; a picture has z without a divider unless one is asked for", () => {
  const empty = { dim, prompts: new Float32Array(0), pictures: new Float32Array(0) }
  for (const kind of ["text", "picture", "mixed"] satisfies QueryKind[])
    expect(calibrationOf(query, kind, empty, 10)).toMatchObject({ basis: "none", threshold: Number.NEGATIVE_INFINITY })
  const given = background()
  const picture = row(given.pictures, 0)
  const calibration = calibrationOf(picture, "picture", given, 200)
  expect(calibration.threshold).toBe(Number.NEGATIVE_INFINITY)
  expect(calibration.zOf(1, picture)).toBeGreaterThan(2)
  expect([calibration.hasDivider, calibration.verdict(9), calibration.verdict(-9)]).toEqual([false, null, null])
  const asked = calibrationOf(picture, "picture", given, 200, { strictness: 1 })
  expect([asked.hasDivider, asked.verdict(1000), asked.verdict(-1000)]).toEqual([true, "match", "weak"])
})

test("pictures and captions that are all alike divide by nothing", () => {
  const alike = { dim, prompts: around(new Random(1), 1, query, 5), pictures: new Float32Array(10 * dim) }
  for (let i = 0; i < 10; i++) alike.pictures.set(query, i * dim)
  const calibration = calibrationOf(query, "text", alike, 10)
  expect(Number.isFinite(calibration.zOf(0.3, query))).toBe(true)
  expect(Number.isFinite(calibration.threshold)).toBe(true)
})

test("vectors that are not finite, or of another width, are refused by name", () => {
  const given = background()
  given.pictures[3 * dim + 1] = Number.NaN
  expect(() => calibrationOf(query, "text", given, 10)).toThrow("background pictures: vector 4")
  expect(() => calibrationOf(query.subarray(1), "text", background(), 10)).toThrow("32 finite numbers")
  expect(calibrationOf(query, "text", background(), 10).verdict(Number.NaN)).toBe("weak")
})

test("there are a few hundred captions, no two alike", () => {
  expect(backgroundPrompts.length).toBeGreaterThan(300)
  expect(new Set(backgroundPrompts.map((text) => text.toLowerCase())).size).toBe(backgroundPrompts.length)
})

test("the deviation is that of the query's cosines over the pictures; of a text within a quarter of the captions' median one", () => {
  const { pictures, prompts } = background()
  const deviationOf = (vector: Float32Array) => {
    const all = Array.from({ length: pictures.length / dim }, (_, i) =>
      vector.reduce((sum, value, d) => sum + value * pictures[i * dim + d]!, 0),
    )
    const mean = all.reduce((sum, value) => sum + value, 0) / all.length
    return Math.sqrt(all.reduce((sum, value) => sum + (value - mean) ** 2, 0) / all.length)
  }
  const own = deviationOf(query)
  expect(calibrationOf(query, "mixed", background(), 100).deviation! / own).toBeCloseTo(1, 1)
  const captions = Array.from({ length: prompts.length / dim }, (_, i) =>
    deviationOf(prompts.slice(i * dim, (i + 1) * dim)),
  )
  const middle = captions.sort((a, b) => a - b)[Math.floor(captions.length / 2)]!
  const ofText = calibrationOf(query, "text", background(), 100).deviation!
  expect(ofText).toBeGreaterThan(0.74 * middle)
  expect(ofText).toBeLessThan(1.26 * middle)
})

test("explanations name the number, what it is compared with, and the verdict", () => {
  const calibration = calibrationOf(query, "text", background(), 1500)
  const [above, below] = [calibration.threshold + 1, -1]
  expect(explainScore(calibration, { cosine: 0.31, cosineZ: above, z: above, verdict: "match" })).toMatch(
    /^Cosine 0\.310 is .* above .*: a match\.$/,
  )
  expect(explainScore(calibration, { cosine: 0.1, cosineZ: below, z: below, verdict: "weak" })).toMatch(
    /1\.0 standard deviations below .*: a weaker match\.$/,
  )
  expect(explainScore(calibration, { cosine: 0.1, cosineZ: below, z: above, verdict: "match" })).toMatch(
    new RegExp(`1\\.0 standard deviations below .*; with its words z is ${above.toFixed(1)}: a match\\.$`),
  )
  expect(explainThreshold(calibration)).toContain("the best of 1,500 pictures")
  const ofPicture = calibrationOf(query, "picture", background(), 1500)
  expect(explainScore(ofPicture, { cosine: 0.5, cosineZ: 9, z: 9, verdict: null })).toMatch(
    /^Cosine 0\.500 is 9\.0 standard deviations above .* of the index\.$/,
  )
  expect(explainThreshold(ofPicture)).toMatch(/^Results of a picture have no divider: /)
})
