import { expect, test } from "vitest"
import { COLOURS, COUNT_WORDS, namesOf, PATTERNS, RELATIONS, SHAPES } from "./attributes.ts"
import { captionsOf, relationCaption } from "./captions.ts"
import { sampleScene } from "./scene.ts"

const scenes = Array.from({ length: 3000 }, (_, index) => sampleScene(1, "train", index))
const precise = scenes.map((scene) => ({ scene, caption: captionsOf(scene).caption }))

/** Which of `names` occur in `text` as words, singular or plural. */
function mentioned(names: readonly string[], text: string): Set<string> {
  return new Set(names.filter((name) => new RegExp(`\\b${name}(e?s)?\\b`).test(text)))
}

function withoutBackground(caption: string): string {
  return caption.replace(/ on an? [a-z ]+ background$/, "")
}

test("precise captions name the shapes of the objects and no others", () => {
  for (const { scene, caption } of precise) {
    const named = mentioned(namesOf(SHAPES), withoutBackground(caption))
    expect(named).toEqual(new Set(scene.objects.map(({ shape }) => shape)))
  }
})

test("colours and patterns named are the objects'", () => {
  for (const { scene, caption } of precise) {
    const text = withoutBackground(caption)
    const colours: readonly string[] = scene.objects.map(({ colour }) => colour)
    const patterns: readonly string[] = scene.objects.map(({ pattern }) => pattern)
    for (const colour of mentioned(namesOf(COLOURS), text)) expect(colours).toContain(colour)
    for (const pattern of mentioned(PATTERNS, text)) expect(patterns).toContain(pattern)
  }
})

test("precise captions that name a size name every colour, and every pattern but, now and then, solid", () => {
  const full = precise.filter(({ caption }) => /\b(small|little|medium|large|big)\b/.test(caption))
  for (const { scene, caption } of full) {
    const text = withoutBackground(caption)
    expect(mentioned(namesOf(COLOURS), text)).toEqual(new Set(scene.objects.map(({ colour }) => colour)))
    const present = new Set<string>(scene.objects.map(({ pattern }) => pattern))
    expect(mentioned(PATTERNS, text).add("solid")).toEqual(present.add("solid"))
  }
  const alike = precise.filter(({ scene }) => scene.layout === "single" || scene.layout === "group").length
  expect((precise.length - full.length) / alike).toBeCloseTo(0.4, 1)
})

test("the background named is the one there is", () => {
  const named = precise.filter(({ caption }) => caption.endsWith("background"))
  expect(named.length / precise.length).toBeCloseTo(0.25, 1)
  for (const { scene, caption } of named) expect(caption).toContain(`${scene.background.colour} background`)
})

test("relations are true, whichever object comes first", () => {
  const pairs = precise.filter(({ scene }) => scene.layout === "pair")
  const inverted = pairs.filter(({ scene, caption }) => {
    const relation = scene.relation!
    const says = (name: keyof typeof RELATIONS) =>
      RELATIONS[name].phrases.some((phrase) => caption.includes(` ${phrase} `))
    const inverse = RELATIONS[relation].inverse
    expect(says(relation)).not.toBe(says(inverse))
    const [start] = caption.split(/ (?:to the )?(?:left of|right of|above|over|below|under) /)
    const subject = scene.objects[says(inverse) ? 1 : 0]!
    expect(start).toContain(subject.shape)
    expect(start).toContain(subject.colour)
    return says(inverse)
  })
  expect(inverted.length / pairs.length).toBeCloseTo(0.5, 1)
})

test("groups say their number", () => {
  for (const { scene, caption } of precise) {
    if (scene.layout !== "group") continue
    const count = scene.objects.length
    expect(caption).toMatch(count === 1 ? /\b(one|single)\b/ : new RegExp(`\\b${COUNT_WORDS[count - 1]}\\b`))
  }
})

test("retrieval captions are all different", () => {
  const captions = Array.from({ length: 3000 }, (_, index) => captionsOf(sampleScene(1, "retrieval", index)).caption)
  expect(new Set(captions).size).toBe(captions.length)
})

test("web captions are mostly incomplete, sometimes about nothing, and varied", () => {
  const web = scenes.map((scene) => captionsOf(scene).webCaption)
  const share = (pattern: RegExp) => web.filter((caption) => pattern.test(caption)).length / web.length
  expect(share(/\.jpg$/i)).toBeGreaterThan(0.1)
  expect(share(/buy|shipping|vector|clipart|sticker|wallpaper/i)).toBeGreaterThan(0.1)
  expect(share(new RegExp(namesOf(SHAPES).join("|")))).toBeGreaterThan(0.6)
  const wrong = scenes.filter(({ objects }, i) => {
    const shapes = mentioned(namesOf(SHAPES), web[i]!)
    return [...shapes].some((shape) => !objects.some((object) => object.shape === shape))
  })
  expect(wrong.length / scenes.length).toBeGreaterThan(0.02)
  expect(wrong.length / scenes.length).toBeLessThan(0.15)
})

test("articles agree with the word that follows", () => {
  const orange = { shape: "star", colour: "orange", pattern: "solid", size: "small" } as const
  expect(relationCaption(orange, "left", { ...orange, colour: "red" })).toBe("an orange star to the left of a red star")
  for (const { caption } of precise) expect(caption).not.toMatch(/\ba [aeiou]|\ban [^aeiou]/)
})
