import { expect, test } from "vitest"
import { reinforcedSample } from "../../../../test/reinforced.ts"
import type { StoredAugmentation } from "../../../data/augment/augmentation.ts"
import type { ReinforcedSample } from "../../../data/reinforced/sample.ts"
import { faultsOf } from "./faults.ts"

const sound = reinforcedSample("a", 1)
const options = { picture: { width: 400, height: 400 }, teacherWidths: [8, 8] }

function withViews(...paramAug: StoredAugmentation[]): ReinforcedSample {
  return { ...sound, paramAug }
}

test("a sound sample has no faults, whether the widths of the teachers are known or not", () => {
  expect(faultsOf(sound, options)).toEqual([])
  expect(faultsOf(sound, { picture: null, teacherWidths: null })).toEqual([])
})

test("crops outside of the picture and operations that are none", () => {
  const sample = withViews([[0, 0, 400, 400], null], [[1, 0, 400, 400], []], [[0, 0, 5, 5], [[14, 1]]])
  expect(faultsOf(sample, options)).toEqual([
    "view 1: the crop [1, 0, 400, 400] is not inside the picture of 400 x 400",
    "view 2: there is no operation 14",
  ])
  expect(faultsOf(withViews([[0, 0, 0, 4], [[3, Number.NaN]]]), options)).toEqual([
    "view 0: the crop [0, 0, 0, 4] is none",
    "view 0: the magnitude NaN is not a number",
  ])
})

test("a part that is not of unit length is told with its row and teacher", () => {
  const image = sound.embeddings.get("image_emb")!
  const values = image.values.slice()
  for (let i = 16 + 8; i < 32; i++) values[i]! *= 1.1
  const sample = { ...sound, embeddings: new Map([["image_emb", { ...image, values }]]) }
  expect(faultsOf(sample, options)).toEqual([
    "image_emb: row 1 has the length 1.1000 in the part of teacher 1, and 1 was expected",
  ])
  expect(faultsOf(sample, { ...options, teacherWidths: null })).toEqual([
    "image_emb: row 1 has the length 1.4866: its parts are not of unit length",
  ])
})

test("rows of another width than the teachers together, and views without embeddings", () => {
  expect(faultsOf(sound, { ...options, teacherWidths: [8, 9] })).toEqual([
    "image_emb: its rows are 16 wide, and the teachers together 17",
    "text_emb: its rows are 16 wide, and the teachers together 17",
  ])
  expect(faultsOf({ ...sound, embeddings: new Map() }, options)).toEqual(["it has param_aug, and no image_emb"])
})
