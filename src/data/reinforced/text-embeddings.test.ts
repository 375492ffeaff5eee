import { expect, test } from "vitest"
import type { Embeddings } from "./sample.ts"
import { arrangeTextEmbeddings } from "./text-embeddings.ts"

/** Rows of one column that count from `first`. */
function rows(first: number, count: number): Embeddings {
  return { rows: count, width: 1, values: Float32Array.from({ length: count }, (_, i) => first + i), dtype: "float32" }
}

const two = new Map([
  ["syn_text_a", ["1", "2"]],
  ["syn_text_b", ["3"]],
])
const joined = new Map([["text_emb", rows(0, 4)]])
const separate = new Map([
  ["text_emb", rows(0, 1)],
  ["syn_text_a_emb", rows(1, 2)],
  ["syn_text_b_emb", rows(3, 1)],
])

test("several synthetic keys are parted and joined in their order", () => {
  const captions = { texts: ["0"], synTexts: two }
  expect(arrangeTextEmbeddings({ ...captions, embeddings: joined }, "separate")).toEqual(separate)
  expect(arrangeTextEmbeddings({ ...captions, embeddings: separate }, "joined")).toEqual(joined)
  expect(arrangeTextEmbeddings({ ...captions, embeddings: joined }, "joined")).toEqual(joined)
  expect(arrangeTextEmbeddings({ ...captions, embeddings: separate }, "separate")).toEqual(separate)
})

test("a shard without captions has its synthetic ones last", () => {
  expect(arrangeTextEmbeddings({ texts: [], synTexts: two, embeddings: joined }, "separate")).toEqual(separate)
})

test("tags belong to all names, and what has no embeddings stays where it is", () => {
  const tagged = new Map([
    ["texts_emb_x", rows(0, 2)],
    ["syn_emb_x", rows(2, 1)],
    ["text_emb", rows(9, 2)],
  ])
  const captions = { texts: ["0", "1"], synTexts: new Map([["syn", ["2"]]]), embeddings: tagged }
  const result = arrangeTextEmbeddings(captions, "joined")
  expect(result).toEqual(new Map([["texts_emb_x", rows(0, 3)], ["text_emb", rows(9, 2)]])) // biome-ignore format: pairs
  const only = { texts: ["0", "1", "2", "3"], synTexts: new Map([["syn", ["4"]]]), embeddings: joined }
  expect(arrangeTextEmbeddings(only, "separate")).toEqual(joined)
})
