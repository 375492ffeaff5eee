import { expect, test } from "vitest"
import { Random } from "../../core/arrays/random.ts"
import { opNames, type StoredAugmentation } from "./augmentation.ts"
import { datacompdrAugmentation as config } from "./config.ts"
import { centralCrop, drawAugmentation, drawCrop } from "./draw.ts"
import { magnitudeOf } from "./magnitudes.ts"
import { checkInside, parseParamAug } from "./stored.ts"

const image = { width: 500, height: 400 }
const views = (count: number, seed = 1): StoredAugmentation[] => {
  const random = Random.of(seed, "views")
  return Array.from({ length: count }, () => drawAugmentation(config, image, random))
}

test("the same stream gives the same views, and another stream gives others", () => {
  expect(views(5)).toEqual(views(5))
  expect(views(5)).not.toEqual(views(5, 2))
})

test("views are stored views, and lie inside the picture", () => {
  const drawn = views(500)
  expect(parseParamAug(JSON.parse(JSON.stringify(drawn)), "drawn")).toEqual(drawn)
  for (const [crop] of drawn) checkInside(crop, image, "drawn")
})

test("crops have the areas and ratios that were asked for", () => {
  const crops = views(4000).map(([[, , height, width]]) => ({
    area: (width * height) / 200_000,
    ratio: width / height,
  }))
  const areas = crops.map(({ area }) => area)
  expect(Math.min(...areas)).toBeGreaterThan(0.079)
  expect(Math.max(...areas)).toBeLessThanOrEqual(1)
  const ratios = crops.map(({ ratio }) => ratio)
  expect(Math.min(...ratios)).toBeGreaterThan(0.74)
  expect(Math.max(...ratios)).toBeLessThan(1.35)
  // Log-uniform where everything fits: as many wide ones as high ones.
  const small = crops.filter(({ area }) => area < 0.5)
  const wide = small.filter(({ ratio }) => ratio > 1).length / small.length
  expect(Math.abs(wide - 0.5)).toBeLessThan(0.03)
})

test("operations are drawn evenly, and the signed ones in both directions", () => {
  const ops = views(7000).flatMap(([, drawn]) => drawn!)
  for (const [op, name] of opNames.entries()) {
    const magnitudes = ops.filter(([index]) => index === op).map(([, magnitude]) => magnitude)
    expect(Math.abs(magnitudes.length / ops.length - 1 / 14), name).toBeLessThan(0.01)
    const strength = magnitudeOf(op, 9, 31, 224)
    const expected = op >= 1 && op <= 9 ? [-strength, strength] : [strength]
    expect(
      [...new Set(magnitudes)].sort((a, b) => a - b),
      name,
    ).toEqual(expected)
  }
})

test("RandAugment happens as often as it should", () => {
  const random = new Random(3)
  const rare = { ...config, randAugment: { ...config.randAugment!, p: 0.25 } }
  const drawn = Array.from({ length: 4000 }, () => drawAugmentation(rare, image, random)[1])
  expect(Math.abs(drawn.filter((ops) => ops !== null).length / 4000 - 0.25)).toBeLessThan(0.03)
  expect(drawAugmentation({ ...config, randAugment: null }, image, random)[1]).toBeNull()
})

test("where no rectangle fits, the middle is taken, as torchvision does", () => {
  const ratio = config.randomResizedCrop.ratio
  expect(centralCrop(ratio, { width: 1000, height: 100 })).toEqual([0, 433, 100, 133])
  expect(centralCrop(ratio, { width: 90, height: 1000 })).toEqual([440, 0, 120, 90])
  expect(centralCrop(ratio, { width: 120, height: 100 })).toEqual([0, 0, 100, 120])
  const random = new Random(4)
  for (const [width, height] of [
    [1, 1],
    [1, 5000],
    [5000, 1],
    [3, 2],
  ] as const) {
    for (let i = 0; i < 20; i++)
      checkInside(drawCrop(config.randomResizedCrop, { width, height }, random), { width, height }, "drawn")
  }
})
