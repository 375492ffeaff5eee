import { expect, test } from "vitest"
import { reinforcedSample } from "../../../../test/reinforced.ts"
import type { ReinforcedSample } from "../../../data/reinforced/sample.ts"
import { firstDifference, leastCosine } from "./compare.ts"

const sample = reinforcedSample("a", 1)

function changed(changes: Partial<ReinforcedSample>): string | null {
  return firstDifference(sample, { ...sample, ...changes })
}

test("equal samples do not differ", () => {
  expect(changed({})).toBeNull()
  expect(firstDifference(sample, reinforcedSample("a", 1))).toBeNull()
})

test("the first thing that differs is told, with both values", () => {
  expect(changed({ key: "b" })).toBe("its key is a, and b there")
  expect(changed({ texts: ["picture b"] })).toBe('the captions, number 0: "picture a", and "picture b" there')
  expect(changed({ texts: ["picture a", "more"] })).toBe("the captions: 1 of them, and 2 there")
  expect(changed({ synTexts: new Map() })).toBe("only one of them has syn_text")
  expect(changed({ paramAug: null })).toMatch(/^param_aug: \[\[\[.*\.\.\., and null there$/)
  expect(changed({ image: { extension: "jpg", bytes: new Uint8Array(3) } })).toMatch(/^one of them has no picture/)
  expect(changed({ fields: { uid: "a" } })).toMatch(/^the other fields: /)
  expect(changed({ others: new Map([["cls", new Uint8Array(1)]]) })).toBe("only one of them has cls")
})

test("embeddings: the first row that differs, and the least cosine of all rows", () => {
  const image = sample.embeddings.get("image_emb")!
  const values = image.values.slice()
  values.fill(0, 32, 40)
  const other = { ...image, values }
  expect(leastCosine(image, other)).toBeCloseTo(Math.SQRT1_2, 6)
  const embeddings = new Map([...sample.embeddings, ["image_emb", other] as const])
  expect(changed({ embeddings })).toMatch(/^image_emb: row 2 is the first to differ; least cosine 0\.7071/)
  const narrow = { ...image, width: 8, rows: 6 }
  expect(changed({ embeddings: new Map([...sample.embeddings, ["image_emb", narrow] as const]) })).toBe(
    "image_emb is 3 x 16, and 6 x 8 there",
  )
})
