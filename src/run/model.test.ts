/** What a model feeds its graphs, by graphs that note it. */
import { expect, test } from "vitest"
import { endOfText, startOfText } from "../core/text/tokenizer.ts"
import type { ClipDescription } from "./description.ts"
import type { Feed, Graph, Port } from "./graph.ts"
import { checkedModel, type Graphs } from "./model.ts"

const description: ClipDescription = {
  name: "noted",
  preprocessing: { size: 2, interpolation: "bicubic", mean: [0, 0, 0], std: [1, 1, 1] },
  contextLength: 77,
  embedDim: null,
  padding: null,
  logitScale: null,
  image: { input: "pixel_values", output: "image_embeds" },
  text: { input: "input_ids", output: "text_embeds" },
}

type Feeds = Readonly<Record<string, Feed>>

/** Gives two values for each row. */
function noting(inputs: readonly Port[], output: string, value: (row: readonly number[]) => number) {
  const fed: Feeds[] = []
  const graph: Graph = {
    file: `${output}.onnx`,
    ports: async () => ({ inputs, outputs: [{ name: output, type: "float32", shape: ["batch", 2] }] }),
    async run(feeds, outputs) {
      fed.push(feeds)
      const { data, shape } = feeds[inputs[0]!.name]!
      const width = data.length / shape[0]!
      const rows = Array.from({ length: shape[0]! }, (_, i) =>
        Array.from(data.subarray(i * width, (i + 1) * width), Number),
      )
      const values = { data: Float32Array.from(rows.flatMap((row) => [1, value(row)])), shape: [rows.length, 2] }
      return Object.fromEntries(outputs.map((name) => [name, values])) as never
    },
    async release() {},
  }
  return { graph, fed }
}

const pixels = { name: "pixel_values", type: "float32", shape: ["batch", 3, "h", "w"] }
const image = () => noting([pixels], "image_embeds", (row) => row[0]!)
const ids = { name: "input_ids", type: "int64", shape: ["batch", "length"] }
const mask = { name: "attention_mask", type: "int64", shape: ["batch", "length"] }
const opened = (graphs: Graphs, given = description) => checkedModel(given, graphs, { textBatch: 64, manifest: null })
/** Depends on what stands before the end of text, as a causal tower's vectors do. */
const causal = (row: readonly number[]) => row.slice(0, row.indexOf(endOfText)).reduce((sum, id) => sum + id, 0) / 1e5

test("a tower that sees no padding gets the columns that count, with a mask, short texts with short ones", async () => {
  const text = noting([ids, mask], "text_embeds", causal)
  await using model = await opened({ image: image().graph, text: text.graph })
  expect([model.embedDim, model.name]).toEqual([2, "noted"])
  text.fed.length = 0
  const texts = ["a cat and a dog", ...new Array<string>(63).fill("cat"), "dog dog"]
  const vectors = await model.encodeTexts(texts)
  expect(text.fed.map((feeds) => feeds.input_ids!.shape)).toEqual([
    [64, 4],
    [1, 7],
  ])
  const last = text.fed[1]!
  expect([last.input_ids!.data[0], last.input_ids!.data[6]]).toEqual([BigInt(startOfText), BigInt(endOfText)])
  const rowOfDogs = text.fed[0]!.attention_mask!.data.slice(63 * 4)
  expect([text.fed[0]!.attention_mask!.data.slice(0, 4), rowOfDogs]).toEqual([
    BigInt64Array.of(1n, 1n, 1n, 0n),
    BigInt64Array.of(1n, 1n, 1n, 1n),
  ])
  const alone = await Promise.all(texts.map(async (text) => [...(await model.encodeTexts([text]))]))
  expect([...vectors]).toEqual(alone.flat())
})

test("a tower that sees its padding gets all columns, padded with 0", async () => {
  const text = noting([ids], "text_embeds", (row) => row.reduce((sum, id) => sum + id, 0) / 1e5)
  const graphs = { image: image().graph, text: text.graph }
  await expect(opened(graphs)).rejects.toThrow(
    "noted: the text tower sees its padding, and the tokenizer does not say what it pads with",
  )
  await using model = await opened(graphs, { ...description, padding: 0 })
  text.fed.length = 0
  await model.encodeTexts(["cat"])
  expect(text.fed.map((feeds) => feeds.input_ids!.shape)).toEqual([[1, 77]])
  expect(text.fed[0]!.input_ids!.data.slice(3).every((id) => id === 0n)).toBe(true)
})

test("values that are not numbers, and inputs that no CLIP has, are refused", async () => {
  const text = noting([ids], "text_embeds", causal)
  const broken = noting([pixels], "image_embeds", () => Number.NaN)
  await expect(opened({ image: broken.graph, text: text.graph })).rejects.toThrow(
    "image_embeds.onnx gives values that are not numbers",
  )
  const more = noting([ids, { name: "position_ids", type: "int64", shape: ["batch", 77] }], "text_embeds", causal)
  await expect(opened({ image: image().graph, text: more.graph })).rejects.toThrow(
    'text_embeds.onnx wants an input "position_ids", which no CLIP has',
  )
  const free = { ...description, contextLength: null }
  await expect(opened({ image: image().graph, text: text.graph }, free)).rejects.toThrow(
    "no file says how many tokens a text has",
  )
  const endless = noting([{ ...ids, shape: ["batch", 2 ** 30] }], "text_embeds", causal)
  await expect(opened({ image: image().graph, text: endless.graph }, free)).rejects.toThrow(
    "noted: texts of 1073741824 tokens; at most 16384 are possible",
  )
})
