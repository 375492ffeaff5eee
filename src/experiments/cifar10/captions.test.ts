import { expect, test } from "vitest"
import { Random } from "../../core/arrays/random.ts"
import { captionKinds, carelessCaption, drawKind, isTrue, preciseCaptions } from "./captions.ts"
import { classNames, otherNames, templates } from "./classes.ts"
import { presets } from "./recipe.ts"

const { captions: mix } = presets.standard

test("the benchmark's 18 prompts, with and without the article", () => {
  expect(templates).toHaveLength(18)
  expect(new Set(templates).size).toBe(18)
  expect([templates[0], templates[3], templates[9], templates[17]]).toEqual([
    "a photo of a {c}.",
    "a low contrast photo of a {c}.",
    "a photo of the {c}.",
    "a photo of the big {c}.",
  ])
})

test("the kinds follow each other on the line from 0 to 1", () => {
  const kinds = [0, 0.349, 0.35, 0.499, 0.5, 0.599, 0.61, 0.799, 0.81, 0.9999].map((at) => drawKind(mix, at))
  expect(kinds).toEqual(captionKinds.flatMap((kind) => [kind, kind]))
  for (const { captions } of Object.values(presets)) {
    expect(captionKinds.reduce((sum, kind) => sum + captions[kind], 0)).toBeCloseTo(1, 12)
  }
})

test("each kind has its share of many careless captions, and is what it claims to be", () => {
  const counts = Object.fromEntries(captionKinds.map((kind) => [kind, 0]))
  const total = 4000
  for (let i = 0; i < total; i++) {
    const label = classNames[i % classNames.length]!
    const { kind, text } = carelessCaption(label, mix, Random.of(3, i))
    counts[kind]! += 1
    const named = classNames.filter((name) => text.split(" ").includes(name))
    const others = otherNames[label].filter((name) => text.split(" ").includes(name))
    if (kind === "named") expect(named).toEqual([label])
    else if (kind === "otherName") expect([named, others.length]).toEqual([[], 1])
    else if (kind === "wrongName") expect([named.length, named.includes(label)]).toEqual([1, false])
    else expect([named, others]).toEqual([[], []])
    if (kind === "fileName") expect(text).toMatch(/\d{4}\.(jpe?g|png)$/i)
  }
  // Standard deviation of a share is at most 0.8 %.
  for (const kind of captionKinds) expect(Math.abs(counts[kind]! / total - mix[kind])).toBeLessThan(0.03)
})

test("a caption is a function of seed and key", () => {
  const captionOf = (seed: number, key: string) => carelessCaption("cat", mix, Random.of(seed, "caption", key)).text
  expect(captionOf(1, "000001")).toBe(captionOf(1, "000001"))
  const texts = Array.from({ length: 50 }, (_, i) => captionOf(1, String(i)))
  expect(new Set(texts).size).toBeGreaterThan(20)
})

test("half of the precise captions have the name of the class, the others its other names", () => {
  const captions = preciseCaptions("cat")
  const saying = (name: string) =>
    captions.filter((caption) => caption.replace(".", "").split(" ").includes(name)).length
  expect(saying("cat")).toBe(captions.length / 2)
  expect(otherNames.cat.map(saying)).toEqual([captions.length / 6, captions.length / 6, captions.length / 6])
  expect(captions).toContain("a photo of a cat.")
})

test("a caption is true if it names its class, by any of its names, and no other class", () => {
  for (const name of classNames) expect(preciseCaptions(name).every((caption) => isTrue(caption, name))).toBe(true)
  expect(isTrue("A Kitten.", "cat")).toBe(true)
  expect(["a dog", "a cat and a dog", "a carcat", ""].map((caption) => isTrue(caption, "cat"))).toEqual(
    Array(4).fill(false),
  )
})
