import { expect, test } from "vitest"
import { BACKGROUNDS, COLOURS, isHeldOut, namesOf, SHAPES } from "./attributes.ts"
import { planScene, SPLITS, type Split } from "./plan.ts"
import { sampleScene, standsOut } from "./scene.ts"

function scenes(split: Split, count: number, seed = 1) {
  return Array.from({ length: count }, (_, index) => sampleScene(seed, split, index))
}

test("every shape has one held-out colour, and every colour a shape that holds it out", () => {
  const pairs = namesOf(SHAPES).flatMap((shape) =>
    namesOf(COLOURS)
      .filter((colour) => isHeldOut(shape, colour))
      .map((colour) => ({ shape, colour })),
  )
  expect(pairs.map(({ shape }) => shape)).toEqual(namesOf(SHAPES))
  expect(new Set(pairs.map(({ colour }) => colour))).toEqual(new Set(namesOf(COLOURS)))
})

test("held-out combinations are never in training pictures, and in each of the retrieval split", () => {
  const heldOut = ({ objects }: ReturnType<typeof sampleScene>) =>
    objects.filter(({ shape, colour }) => isHeldOut(shape, colour)).length
  expect(scenes("train", 5000).filter(heldOut)).toEqual([])
  expect(scenes("retrieval", 1000).every((scene) => heldOut(scene) === 1)).toBe(true)
})

test("training pictures show every other combination of shape and colour, mostly one or two objects", () => {
  const train = scenes("train", 5000)
  const seen = new Set(train.flatMap(({ objects }) => objects.map(({ shape, colour }) => `${colour} ${shape}`)))
  expect(seen.size).toBe(12 * 10 - 12)
  expect(train.filter(({ objects }) => objects.length <= 2).length).toBeGreaterThan(0.8 * train.length)
})

test("no two pictures of the retrieval split show the same", () => {
  const facts = scenes("retrieval", 5000).map(({ objects, relation }) => {
    return [relation, ...objects.map(({ shape, colour, pattern }) => `${pattern} ${colour} ${shape}`)].join()
  })
  expect(new Set(facts).size).toBe(facts.length)
})

test.each(SPLITS)("objects of %s pictures lie within the central square", (split) => {
  for (const { width, height, objects } of scenes(split, 1000)) {
    const half = Math.min(width, height) / 2
    for (const { x, y, radius } of objects) {
      expect(Math.abs(x - width / 2) + radius).toBeLessThan(half)
      expect(Math.abs(y - height / 2) + radius).toBeLessThan(half)
    }
  }
})

test("a single object is at least 20 pixels across when the picture is 64 high", () => {
  for (const { layout, width, height, objects } of scenes("test", 500)) {
    if (layout === "single") expect((2 * objects[0]!.radius * 64) / Math.min(width, height)).toBeGreaterThan(20)
  }
})

test("the relation says where the first object is", () => {
  for (const { relation, objects } of [...scenes("train", 1000), ...scenes("retrieval", 500)]) {
    if (relation === null) continue
    const [a, b] = [objects[0]!, objects[1]!]
    const gap = { left: b.x - a.x, right: a.x - b.x, above: b.y - a.y, below: a.y - b.y }[relation]
    const across = relation === "left" || relation === "right" ? Math.abs(a.y - b.y) : Math.abs(a.x - b.x)
    expect(gap).toBeGreaterThan(across)
  }
})

test("every choice of four colours leaves a background they stand out from", () => {
  const colours = namesOf(COLOURS)
  const fitting = colours.map((colour) => namesOf(BACKGROUNDS).map((background) => standsOut({ colour }, background)))
  for (const a of fitting)
    for (const b of fitting)
      for (const c of fitting)
        for (const d of fitting) expect(a.some((fits, i) => fits && b[i] && c[i] && d[i])).toBe(true)
})

test("a scene depends on seed, split and index, not on what was sampled before", () => {
  const [first, second] = [scenes("train", 20), scenes("train", 20)]
  expect(second).toEqual(first)
  expect(sampleScene(1, "train", 19)).toEqual(first[19])
  expect(scenes("train", 20, 2)).not.toEqual(first)
  expect(planScene(1, "test", 19)).not.toEqual(planScene(1, "train", 19))
})
