import { expect, test } from "vitest"
import { reinforcedSample } from "../../../../test/reinforced.ts"
import type { Embeddings, ReinforcedSample } from "../../../data/reinforced/sample.ts"
import { teacherAgreement } from "./agreement.ts"

const side = 4

/** Rows of one-hot vectors for two teachers: which column is 1. */
function oneHot(...rows: (readonly [number, number])[]): Embeddings {
  const values = rows.flatMap(([a, b]) =>
    [a, b].flatMap((at) => Array.from({ length: side }, (_, i) => Number(i === at))),
  )
  return { rows: rows.length, width: 2 * side, values: Float32Array.from(values), dtype: "float32" }
}

function sample(key: number, image: Embeddings, text: Embeddings): ReinforcedSample {
  const embeddings = new Map([
    ["image_emb", image],
    ["text_emb", text],
  ])
  return { ...reinforcedSample(`${key}`, 1, { captions: 1 }), embeddings }
}

test("choices, agreement and cosines of one-hot vectors", () => {
  const samples = [
    sample(0, oneHot([0, 0], [0, 1]), oneHot([0, 0], [0, 0])),
    sample(1, oneHot([1, 1], [1, 1]), oneHot([1, 1], [1, 2])),
    // The second teacher takes the picture for the one of the first sample.
    sample(2, oneHot([2, 0], [2, 0]), oneHot([2, 2], [3, 0])),
  ]
  expect(teacherAgreement(samples, [side, side])).toEqual({
    samples: 3,
    chosen: "text",
    teachers: [
      { width: side, ownCaption: 1, views: 1, captions: { text: 1, syn_text: 2 / 3 } },
      { width: side, ownCaption: 2 / 3, views: 2 / 3, captions: { text: 0.5, syn_text: 0.5 } },
    ],
    pairs: [{ teachers: [0, 1], top1: 2 / 3 }],
  })
})

test("where only a captioner described the pictures, its captions are chosen from", () => {
  const samples = [0, 1, 2].map((i) => {
    const described = sample(i, oneHot([i, 0]), oneHot([i, i]))
    const [image, text] = ["image_emb", "text_emb"].map((name) => described.embeddings.get(name)!)
    const embeddings = new Map([
      ["image_emb", image!],
      ["syn_text_emb", text!],
    ])
    return { ...described, texts: [], embeddings }
  })
  expect(teacherAgreement(samples, [side, side])).toMatchObject({
    ...{ samples: 3, chosen: "syn_text", pairs: [{ teachers: [0, 1], top1: 1 / 3 }] },
    teachers: [{ ownCaption: 1, captions: { syn_text: 1 } }, { ownCaption: 1 / 3 }],
  })
})

test("one view has no neighbour; one sample has nothing to choose from", () => {
  const samples = [0, 1].map((i) => sample(i, oneHot([i, i]), oneHot([i, i], [i, i])))
  expect(teacherAgreement(samples, [side, side])!.teachers[0]!.views).toBeNull()
  expect(teacherAgreement(samples.slice(1), [side, side])).toBeNull()
  expect(teacherAgreement(samples, [side, side], "_other")).toBeNull()
})
